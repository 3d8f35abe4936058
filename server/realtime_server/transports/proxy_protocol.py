"""PROXY protocol, versions 1 and 2: a header before the first byte, with the address of a proxied client.

Sans I/O. Source: "The PROXY protocol, versions 1 & 2" (haproxy.org, doc/proxy-protocol.txt), section 2.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from realtime_server.transports.addresses import plain_address

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
"""First bytes of version 2."""
PREFIX = b"PROXY "
"""First bytes of version 1."""
MAX_LINE_BYTES = 107
"""Maximum length of a header of version 1."""
MAX_HEADER_BYTES = 4096
"""Maximum accepted length of a header of version 2; addresses and common extensions fit into 536 bytes."""
FIXED_BYTES = 16
LOCAL, PROXY = 0x20, 0x21
"""Version 2 with its commands: a connection of the proxy itself, or a proxied one."""
ADDRESS_BYTES = {0x11: 4, 0x12: 4, 0x21: 16, 0x22: 16, 0x31: 108, 0x32: 108}
"""Size of one address, by address family (IPv4, IPv6, Unix) and transport (stream, datagram)."""
STREAMS = (0x11, 0x21)
UNSPECIFIED = 0x00

_LINE = re.compile(rb"PROXY (?:UNKNOWN(?: [^\r]*)?|TCP([46]) (\S+) (\S+) (\d{1,5}) (\d{1,5}))")


class ProxyProtocolError(Exception):
    """Invalid header; the text says why."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """Header of `size` bytes. `source` is the client's IP address, None where the socket's peer is the client."""

    source: str | None
    size: int


def parse_header(data: bytes) -> ProxyHeader | None:
    """Return the header at the beginning of `data`; None while it is incomplete, all of `data` belonging to it.

    Raises ProxyProtocolError.
    """
    if data.startswith(PREFIX):
        return _parse_line(data)
    if data.startswith(SIGNATURE):
        return _parse_binary(data)
    if PREFIX.startswith(data) or SIGNATURE.startswith(data):
        return None
    raise ProxyProtocolError("neither the signature of version 2 nor the word PROXY is there")


def _parse_line(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\r\n", 0, MAX_LINE_BYTES)
    if end < 0:
        if len(data) >= MAX_LINE_BYTES or b"\n" in data:
            raise ProxyProtocolError(f"the line does not end within {MAX_LINE_BYTES} bytes")
        return None
    match = _LINE.fullmatch(data[:end])
    if match is None:
        raise ProxyProtocolError("the line is not: PROXY TCP4 or TCP6, two addresses, two ports; or PROXY UNKNOWN")
    version, source, destination, *ports = match.groups()
    if version is None:
        return ProxyHeader(None, end + 2)
    if any(int(port) > 65535 or port != b"%d" % int(port) for port in ports):
        raise ProxyProtocolError("a port is no number up to 65535")
    for text in (source, destination):
        _check_address(text, int(version))
    return ProxyHeader(plain_address(source.decode()), end + 2)


def _check_address(text: bytes, version: int) -> None:
    try:
        found = ipaddress.ip_address(text.decode("ascii"))
    except ValueError as error:
        raise ProxyProtocolError("an address is none") from error
    if found.version != version:
        raise ProxyProtocolError("an address is not of the protocol that the line names")


def _parse_binary(data: bytes) -> ProxyHeader | None:
    if len(data) < FIXED_BYTES:
        return None
    command, family = data[12], data[13]
    size = FIXED_BYTES + int.from_bytes(data[14:16], "big")
    if command not in (LOCAL, PROXY):
        raise ProxyProtocolError("version or command is not one of those that there are")
    if family != UNSPECIFIED and family not in ADDRESS_BYTES:
        raise ProxyProtocolError("address family or transport is not one of those that there are")
    if size > MAX_HEADER_BYTES:
        raise ProxyProtocolError(f"the header is longer than {MAX_HEADER_BYTES} bytes")
    if len(data) < size:
        return None
    if command == LOCAL or family == UNSPECIFIED:
        return ProxyHeader(None, size)
    width = ADDRESS_BYTES[family]
    ports = 0 if width == ADDRESS_BYTES[0x31] else 4
    if size < FIXED_BYTES + 2 * width + ports:
        raise ProxyProtocolError("the addresses are cut off")
    if family not in STREAMS:
        return ProxyHeader(None, size)  # required by the specification: unsupported transports count as unspecified
    source = ipaddress.ip_address(data[FIXED_BYTES : FIXED_BYTES + width])
    return ProxyHeader(plain_address(str(source)), size)
