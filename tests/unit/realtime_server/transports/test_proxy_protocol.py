"""PROXY protocol: headers of both versions, split anywhere, and invalid ones."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.transports.proxy_protocol import (
    MAX_HEADER_BYTES,
    SIGNATURE,
    ProxyHeader,
    ProxyProtocolError,
    parse_header,
)

PORTS = st.integers(0, 65535)


def line(source: str, destination: str, source_port: int, destination_port: int) -> bytes:
    """Return a header of version 1."""
    version = ipaddress.ip_address(source).version
    return f"PROXY TCP{version} {source} {destination} {source_port} {destination_port}\r\n".encode()


def binary(command: int, family: int, body: bytes) -> bytes:
    """Return a header of version 2."""
    return SIGNATURE + bytes((command, family)) + len(body).to_bytes(2, "big") + body


@st.composite
def headers(draw: st.DrawFn) -> tuple[bytes, str]:
    """Return a header with the address of its connection."""
    address = draw(st.sampled_from([st.ip_addresses(v=4), st.ip_addresses(v=6)]))
    source, destination = draw(address), draw(address)
    ports = draw(PORTS), draw(PORTS)
    mapped = source.ipv4_mapped if isinstance(source, ipaddress.IPv6Address) else None
    expected = str(mapped or source)
    if draw(st.booleans()):
        return line(str(source), str(destination), *ports), expected
    body = source.packed + destination.packed + b"".join(port.to_bytes(2, "big") for port in ports)
    extensions = draw(st.binary(max_size=300))
    return binary(0x21, 0x11 if source.version == 4 else 0x21, body + extensions), expected


@given(headers(), st.binary(max_size=50))
def test_a_header_is_read_whatever_follows(header: tuple[bytes, str], rest: bytes) -> None:
    """The header's size is returned, so that no byte of what follows is taken."""
    data, source = header
    assert parse_header(data + rest) == ProxyHeader(source, len(data))


@given(headers(), st.data())
def test_a_part_of_a_header_is_no_error(header: tuple[bytes, str], data: st.DataObject) -> None:
    """An incomplete header asks for more bytes."""
    whole, _ = header
    assert parse_header(whole[: data.draw(st.integers(0, len(whole) - 1))]) is None


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda rest: b"PROXY " + rest)
       | st.binary(max_size=200).map(lambda rest: SIGNATURE + rest))  # fmt: skip
def test_anything_else_is_refused_and_nothing_worse(data: bytes) -> None:
    """Any bytes yield a header, a request for more, or the one error."""
    try:
        found = parse_header(data)
    except ProxyProtocolError:
        return
    assert found is None or 0 < found.size <= len(data)


@pytest.mark.parametrize(
    ("data", "size"),
    [
        (b"PROXY UNKNOWN\r\n", 15),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\nGET", 35),
        (binary(0x20, 0x00, b""), 16),
        (binary(0x20, 0x11, b"\x00" * 12), 28),
        (binary(0x21, 0x00, b"ab"), 18),
        (binary(0x21, 0x12, b"\x00" * 12), 28),
        (binary(0x21, 0x31, b"\x00" * 216), 232),
    ],
    ids=["unknown", "unknown with addresses", "local", "local with addresses", "unspecified", "datagram", "Unix"],
)
def test_the_proxys_own_connections_have_its_address(data: bytes, size: int) -> None:
    """Health checks and connections of unknown origin have the proxy's address."""
    assert parse_header(data) == ProxyHeader(None, size)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        b"PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
        b"PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
        b"PROXY TCP4 a b 1 2\r\n",
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        b"PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
        b"PROXY UNKNOWN" + b" " * 100,
        binary(0x11, 0x11, b"\x00" * 12),
        binary(0x22, 0x11, b"\x00" * 12),
        binary(0x21, 0x41, b"\x00" * 12),
        binary(0x21, 0x11, b"\x00" * 11),
        binary(0x21, 0x21, b"\x00" * 12),
        SIGNATURE + b"\x21\x11" + (MAX_HEADER_BYTES - 15).to_bytes(2, "big"),
    ],
)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    """An invalid header is refused at once, without waiting for its end."""
    with pytest.raises(ProxyProtocolError):
        parse_header(data)
