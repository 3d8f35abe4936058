"""What comes back from Redis is checked."""

from __future__ import annotations

import pytest

from realtime_server.backplane.redis_reply import Reply, as_bytes, as_int, as_list, milliseconds
from realtime_server.core.model.errors import BackplaneError


def test_what_was_expected_is_handed_on() -> None:
    """As it came."""
    assert (as_list([1]), as_int(1), as_bytes(b"x")) == ([1], 1, b"x")


@pytest.mark.parametrize("reply", [None, b"x", 1])
def test_no_list(reply: Reply) -> None:
    """A failure of the backplane, not of the caller."""
    with pytest.raises(BackplaneError):
        as_list(reply)


@pytest.mark.parametrize("reply", [None, b"x", []])
def test_no_number(reply: Reply) -> None:
    """A failure of the backplane, not of the caller."""
    with pytest.raises(BackplaneError):
        as_int(reply)


@pytest.mark.parametrize("reply", [None, 1, []])
def test_no_text(reply: Reply) -> None:
    """A failure of the backplane, not of the caller."""
    with pytest.raises(BackplaneError):
        as_bytes(reply)


@pytest.mark.parametrize(("seconds", "expected"), [(1, 1000), (0.25, 250), (1.0004, 1000), (0.00001, 1)])
def test_durations_are_whole_milliseconds(seconds: float, expected: int) -> None:
    """Never none: Redis takes that for an error, or for at once."""
    assert milliseconds(seconds) == expected
