"""Ports are asked for before servers share them."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from realtime_operator.cli.ports import check_free, check_ports, free_port
from realtime_operator.errors import InputError


@contextmanager
def listener(host: str = "127.0.0.1", option: int = socket.SO_REUSEADDR) -> Iterator[int]:
    """Somebody who listens on a port."""
    with socket.socket() as made:
        made.setsockopt(socket.SOL_SOCKET, option, 1)
        made.bind((host, 0))
        made.listen()
        yield made.getsockname()[1]


def test_a_free_port_is_free() -> None:
    """Asking twice takes nothing."""
    port = free_port()
    check_free("127.0.0.1", port, "--port")
    check_free("127.0.0.1", port, "--port")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("option", [socket.SO_REUSEADDR, socket.SO_REUSEPORT])
def test_somebody_who_listens_is_seen(host: str, option: int) -> None:
    """On this address or on all, also one who would share the port."""
    with listener(host, option) as port, pytest.raises(InputError) as refused:
        check_free("127.0.0.1", port, "--api-port")
    assert str(refused.value) == (
        f"cannot listen on 127.0.0.1:{port}: Address already in use; choose another with --api-port"
    )


def test_a_port_is_free_again_at_once() -> None:
    """Also while the kernel still remembers a connection to it."""
    with listener() as port, socket.create_connection(("127.0.0.1", port)), pytest.raises(InputError):
        check_free("127.0.0.1", port, "--port")
    check_free("127.0.0.1", port, "--port")


def test_a_host_that_is_not_of_this_machine_is_refused() -> None:
    """An address for documentation (RFC 5737)."""
    with pytest.raises(InputError, match=r"cannot listen on 192\.0\.2\.1:8000: Cannot assign"):
        check_free("192.0.2.1", 8000, "--port")


def test_one_port_is_not_enough() -> None:
    """Servers share their ports, so every other client would reach the API."""
    port = free_port()
    with pytest.raises(InputError, match=f"cannot share port {port}: choose another with --port or --api-port"):
        check_ports("127.0.0.1", port, port)


def test_both_ports_are_asked_for() -> None:
    """Each with its option."""
    free = free_port()
    with listener() as port:
        with pytest.raises(InputError, match=r"with --port$"):
            check_ports("127.0.0.1", port, free)
        with pytest.raises(InputError, match=r"with --api-port$"):
            check_ports("127.0.0.1", free, port)
