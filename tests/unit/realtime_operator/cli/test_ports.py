"""Tests of the check of ports."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from realtime_operator.cli.ports import check_free, check_ports, free_port
from realtime_operator.errors import InputError


@contextmanager
def listener(host: str = "127.0.0.1", option: int = socket.SO_REUSEADDR) -> Iterator[int]:
    """Listen on a port while the body runs; yield its number."""
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, option, 1)
        made.bind((host, 0))
        made.listen()
        yield made.getsockname()[1]


def test_a_free_port_is_free() -> None:
    """The check does not keep the port."""
    port = free_port()
    check_free("127.0.0.1", port, "--port")
    check_free("127.0.0.1", port, "--port")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("option", [socket.SO_REUSEADDR, socket.SO_REUSEPORT])
def test_somebody_who_listens_is_seen(host: str, option: int) -> None:
    """Listeners on this address or on all are found, also with SO_REUSEPORT."""
    with listener(host, option) as port, pytest.raises(InputError) as refused:
        check_free("127.0.0.1", port, "--api-port")
    assert str(refused.value) == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another with --api-port"
    )


def test_a_port_is_free_again_at_once() -> None:
    """A connection in TIME_WAIT does not make a port taken."""
    with listener() as port, socket.create_connection(("127.0.0.1", port)), pytest.raises(InputError):
        check_free("127.0.0.1", port, "--port")
    check_free("127.0.0.1", port, "--port")


def test_a_host_that_is_not_of_this_machine_is_refused() -> None:
    """An address for documentation (RFC 5737) is not this machine's."""
    with pytest.raises(InputError, match=r"cannot listen on 192\.0\.2\.1:8000: Cannot assign"):
        check_free("192.0.2.1", 8000, "--port")


def test_one_port_is_not_enough() -> None:
    port = free_port()
    with pytest.raises(InputError, match=f"cannot share port {port}: choose another with --port or --api-port"):
        check_ports("127.0.0.1", port, port)


def test_both_ports_are_asked_for() -> None:
    free = free_port()
    with listener() as port:
        with pytest.raises(InputError, match=r"with --port$"):
            check_ports("127.0.0.1", port, free)
        with pytest.raises(InputError, match=r"with --api-port$"):
            check_ports("127.0.0.1", free, port)
