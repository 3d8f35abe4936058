"""Address at which the drain command reaches the server of its pod."""

from __future__ import annotations

from pathlib import Path

import pytest

from realtime_server.admin.drain_command import admin_url
from realtime_server.settings import Listen


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("0.0.0.0", "http://127.0.0.1:8002"),
        ("::", "http://127.0.0.1:8002"),
        ("10.0.0.7", "http://10.0.0.7:8002"),
        ("fd00::7", "http://[fd00::7]:8002"),
        ("localhost", "http://localhost:8002"),
    ],
)
def test_the_url_of_the_admin_port(host: str, expected: str) -> None:
    """The listener's own host is used, unless it listens on every address."""
    assert admin_url(Listen(host=host)) == expected


def test_the_admin_port_may_have_an_address_of_its_own() -> None:
    """The host of the admin port takes precedence over that of all ports."""
    assert admin_url(Listen(host="10.0.0.7", admin_host="fd00::7", admin_port=9)) == "http://[fd00::7]:9"


def test_a_unix_socket_has_no_address() -> None:
    """With a Unix socket the host of the URL has no meaning."""
    assert admin_url(Listen(host="10.0.0.7", admin_socket=Path("/run/admin.sock"))) == "http://server"
