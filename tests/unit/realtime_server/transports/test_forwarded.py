"""Client addresses from forwarding headers: only those from trusted proxies are believed."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.transports.forwarded import (
    NO_PROXIES,
    HeaderName,
    TrustedProxies,
    address_in,
    forwarded,
    x_forwarded_for,
)

NETWORKS = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
PROXIES = TrustedProxies(NETWORKS)
RFC_7239 = TrustedProxies(NETWORKS, "Forwarded")


@pytest.mark.parametrize(
    ("peer", "values", "client"),
    [
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.9, 10.2.3.4"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9:4711"], "203.0.113.9"),
        ("fd00::1", ["[2001:db8::9]:4711"], "2001:db8::9"),
        ("fd00::1", ["2001:DB8::9"], "2001:db8::9"),
        ("10.0.0.1", ["198.51.100.1, unknown"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1, unknown, 10.2.3.4"], "10.2.3.4"),
        ("10.0.0.1", ["10.1.1.1, 10.2.2.2"], "10.1.1.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9," + "10.0.0.2," * 40], "10.0.0.2"),
        ("", ["203.0.113.9"], ""),
    ],
)
def test_the_last_address_that_a_trusted_proxy_wrote(peer: str, values: list[str], client: str) -> None:
    """The list is read from its end, so that entries of the client itself are never reached."""
    assert PROXIES.client_of(peer, values) == client


@pytest.mark.parametrize(
    ("values", "client"),
    [
        (["for=203.0.113.9"], "203.0.113.9"),
        (['For="[2001:db8::9]:4711";proto=https;by=10.0.0.1'], "2001:db8::9"),
        (['for=198.51.100.1, for="203.0.113.9:1"'], "203.0.113.9"),
        (['for=203.0.113.9;host="a,b;c\\"d"'], "203.0.113.9"),
        (["for=203.0.113.9, proto=https"], "10.0.0.1"),
        (["for=203.0.113.9, for=_hidden"], "10.0.0.1"),
        (["for=unknown"], "10.0.0.1"),
        (['for="203.0.113.9'], "10.0.0.1"),
        (["for=203.0.113.9;for=198.51.100.1"], "10.0.0.1"),
        (["for=203.0.113.9 proto=https"], "10.0.0.1"),
        (["203.0.113.9"], "10.0.0.1"),
    ],
)
def test_forwarded_as_rfc_7239_has_it(values: list[str], client: str) -> None:
    """Quotes, other parameters and hidden nodes are supported; a malformed header yields nothing."""
    assert RFC_7239.client_of("10.0.0.1", values) == client


def test_without_proxies_nobody_is_believed() -> None:
    """Without trusted proxies the headers are ignored."""
    assert NO_PROXIES.client_of("192.0.2.1", ["203.0.113.9"]) == "192.0.2.1"


@given(st.text(max_size=60), st.ip_addresses().map(str), st.sampled_from(["X-Forwarded-For", "Forwarded"]))
def test_a_client_cannot_choose_its_address(lie: str, real: str, header: HeaderName) -> None:
    """The proxy appends the client's real address, whatever the client sends; a forged entry can at worst hide that."""
    proxies = TrustedProxies(NETWORKS, header)
    truth = real if header == "X-Forwarded-For" else f'for="[{real}]"'
    found = proxies.client_of("10.0.0.1", [lie, truth])
    allowed = {address_in(real), "10.0.0.1"}
    assert found in allowed or real in proxies


@given(st.lists(st.text(max_size=80), max_size=3))
def test_no_text_breaks_the_readers(values: list[str]) -> None:
    """Any text yields an address or None."""
    for found in (*x_forwarded_for(values), *forwarded(values)):
        if found is not None:
            ipaddress.ip_address(found)
