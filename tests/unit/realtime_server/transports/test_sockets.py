"""Count of open sockets, and limits of what the kernel holds for one."""

from __future__ import annotations

import asyncio
import socket
from typing import cast

from realtime_server.transports.sockets import UNSENT_BYTES, Sockets, bound_unsent, unacknowledged


def test_one_too_many_is_told_and_counted() -> None:
    """After all have left there is room again."""
    sockets = Sockets(2)
    assert [sockets.enter() for _ in range(3)] == [True, True, False]
    assert sockets.open == 3
    sockets.leave()
    sockets.leave()
    assert sockets.enter()


class Transport:
    """Transport with a socket and unsent bytes."""

    def __init__(self, connected: socket.socket | None, buffered: int) -> None:
        self._connected = connected
        self._buffered = buffered

    def get_extra_info(self, name: str) -> socket.socket | None:
        assert name == "socket"
        return self._connected

    def get_write_buffer_size(self) -> int:
        return self._buffered


def asked(connected: socket.socket | None, buffered: int = 0) -> int:
    """Return the unacknowledged bytes of a connection."""
    return unacknowledged(cast("asyncio.WriteTransport", Transport(connected, buffered)))


def test_accepted_sockets_take_no_more_than_the_network_does() -> None:
    """Accepted sockets inherit the limit without a system call, and unread data is counted."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        bound_unsent(listening)
        with socket.socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(listening.getsockname())
            accepted, _ = listening.accept()
            with accepted:
                assert asked(accepted) == 0
                accepted.setblocking(False)
                taken = 0
                try:
                    while True:
                        taken += accepted.send(b"x" * 16_384)
                except BlockingIOError:
                    pass
                assert taken < 6 * UNSENT_BYTES
                assert UNSENT_BYTES // 2 < asked(accepted) <= taken
                assert asked(accepted, 1000) == 1000 + asked(accepted)


def test_a_socket_that_is_gone_has_only_what_the_transport_keeps() -> None:
    """The loop notices the closed socket."""
    closed = socket.socket()
    closed.close()
    assert (asked(closed, 7), asked(None, 7)) == (7, 7)
