"""Type checks of Redis's replies."""

from __future__ import annotations

import pytest

from realtime_server.backplane.redis_reply import Reply, as_bytes, as_int, as_list, milliseconds
from realtime_server.core.model.errors import BackplaneError


def test_what_was_expected_is_handed_on() -> None:
    """A reply of the expected type is returned unchanged."""
    assert (as_list([1]), as_int(1), as_bytes(b"x")) == ([1], 1, b"x")


@pytest.mark.parametrize("reply", [None, b"x", 1])
def test_no_list(reply: Reply) -> None:
    """A reply that is no list raises BackplaneError."""
    with pytest.raises(BackplaneError):
        as_list(reply)


@pytest.mark.parametrize("reply", [None, b"x", []])
def test_no_number(reply: Reply) -> None:
    """A reply that is no integer raises BackplaneError."""
    with pytest.raises(BackplaneError):
        as_int(reply)


@pytest.mark.parametrize("reply", [None, 1, []])
def test_no_text(reply: Reply) -> None:
    """A reply that is no string raises BackplaneError."""
    with pytest.raises(BackplaneError):
        as_bytes(reply)


@pytest.mark.parametrize(("seconds", "expected"), [(1, 1000), (0.25, 250), (1.0004, 1000), (0.00001, 1)])
def test_durations_are_whole_milliseconds(seconds: float, expected: int) -> None:
    """A duration is at least one millisecond, since Redis treats zero as an error or as immediate."""
    assert milliseconds(seconds) == expected
