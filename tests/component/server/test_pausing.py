"""Client that is slowed: everything it sent is handled in order, without loss."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from realtime_operator.api.base import JsonValue
from tests.kit.document import parse
from tests.kit.raw_client import CLOSE, TEXT, frame, raw_stream
from tests.kit.server_process import TOKEN_SECRET
from tests.kit.tls_server import server_with_or_without_tls
from tests.kit.tokens import connection_token

LIMITS: JsonValue = {"messages_per_second": 100, "channels_per_connection": 10}
BURST = 1_011
SLOWED = 50
"""Number of commands above the burst: half a second's worth."""
PING = 0x89
PONG = 0x8A
TEXT_BEGINS = 0x01
ENDS = 0x80


def command(number: int) -> bytes:
    """Return a command that is answered at once."""
    return json.dumps({"id": number, "rpc": {"method": "m", "data": 1}}).encode()


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "TLS"])
async def test_all_that_was_sent_is_answered_in_order(tmp_path: Path, *, encrypted: bool) -> None:
    """Messages, pings, fragments and the close frame arrive at once and are read in a few pieces."""
    server, tls = server_with_or_without_tls(tmp_path, encrypted=encrypted, limits=LIMITS)
    async with server, raw_stream(server.client_port, tls=tls) as stream:
        await stream.connect(connection_token(TOKEN_SECRET, "user-0"))
        frames, expected = [], []
        for number in range(2, BURST + SLOWED):
            frames.append(frame(TEXT, command(number)))
            expected.append(number)
            if number % 7 == 0 and number > BURST - 20:
                text = command(number + 10_000)
                frames += [frame(TEXT_BEGINS, text[:5]), frame(PING, b"p"), frame(ENDS, text[5:])]
                expected += [-1, number + 10_000]
        await stream.send(b"".join([*frames, frame(CLOSE, (1000).to_bytes(2, "big"))]))
        answered: list[int] = []
        while True:
            first, payload = await stream.frame()
            if first == CLOSE:
                break
            answered += [-1] if first == PONG else [int(str(parse(line)["id"])) for line in payload.splitlines()]
        assert int.from_bytes(payload, "big") == 1000
        assert answered == expected
        assert 'limit_exceeded_total{limit="messages_per_second",worker="0"} 0.0' not in await server.metrics()
