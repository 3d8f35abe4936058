"""Server-sent events."""

from __future__ import annotations

import re

from realtime_server.transports.sse import RETRY_SECONDS, frame_event, retry_field


def test_an_event_is_one_chunk() -> None:
    """An event is one chunk with a field and an empty line."""
    assert frame_event(b"{}") == b"a\r\ndata: {}\n\n\r\n"


def test_clients_come_back_at_different_times() -> None:
    """Retry times are random milliseconds within the documented range."""
    found = {retry_field() for _ in range(50)}
    assert len(found) > 10
    for field in found:
        match = re.fullmatch(rb"retry: (\d+)\n\n", field)
        assert match is not None
        assert RETRY_SECONDS[0] <= int(match[1]) / 1000 <= RETRY_SECONDS[1]
