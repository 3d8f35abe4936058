"""Normal form of IP addresses."""

from __future__ import annotations

import pytest

from realtime_server.transports.addresses import plain_address


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
        ("192.0.2.256", None),
        ("192.0.2.1:80", None),
        ("localhost", None),
        ("", None),
    ],
)
def test_one_spelling(text: str, expected: str | None) -> None:
    """A client has one address text, whichever way it came."""
    assert plain_address(text) == expected
