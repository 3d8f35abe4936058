"""How many sockets are open."""

from __future__ import annotations

from realtime_server.transports.sockets import Sockets


def test_one_too_many_is_told_and_counted() -> None:
    """It leaves like the others, and then there is room again."""
    sockets = Sockets(2)
    assert [sockets.enter() for _ in range(3)] == [True, True, False]
    assert sockets.open == 3
    sockets.leave()
    sockets.leave()
    assert sockets.enter()
