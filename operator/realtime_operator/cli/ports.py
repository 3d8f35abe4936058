"""Checks for free TCP ports, before servers share one: SO_REUSEPORT would not notice other users of the port."""

from __future__ import annotations

import socket

from realtime_operator.errors import InputError


def check_free(host: str, port: int, option: str) -> None:
    """Raise InputError when the port is taken or not permitted; `option` is named as the way to choose another."""
    try:
        (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        with socket.socket(family, kind, protocol) as attempt:
            attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            attempt.bind(address)
    except OSError as error:
        raise InputError(f"cannot listen on {host}:{port}: {error.strerror}; choose another with {option}") from error


def check_ports(host: str, client: int, api: int) -> None:
    """Raise InputError when the servers cannot listen on these two ports."""
    if client == api:
        raise InputError(f"clients and the API cannot share port {api}: choose another with --port or --api-port")
    check_free(host, client, "--port")
    check_free(host, api, "--api-port")


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that is free now."""
    with socket.socket() as attempt:
        attempt.bind((host, 0))
        port: int = attempt.getsockname()[1]
        return port
