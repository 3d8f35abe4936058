"""IP addresses in one spelling, so that they can be compared."""

from __future__ import annotations

import asyncio
import ipaddress
import re

_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PLAIN = re.compile(rf"{_BYTE}(?:\.{_BYTE}){{3}}", re.ASCII)
"""An IPv4 address as it is usually written: the usual one, and `ipaddress` takes ten times as long."""


def plain_address(text: str) -> str | None:
    """An IP address as it is usually written, None for what is none. One of IPv4 in IPv6 is one of IPv4."""
    if _PLAIN.fullmatch(text):
        return text
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return str(found)


def peer_of(transport: asyncio.BaseTransport) -> str:
    """The address of a transport's other end, "" where it has none."""
    name = transport.get_extra_info("peername")
    return (plain_address(str(name[0])) or "") if isinstance(name, tuple) else ""
