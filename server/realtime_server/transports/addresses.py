"""Normal form of IP addresses, for comparison."""

from __future__ import annotations

import asyncio
import ipaddress
import re

_BYTE = r"(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_PLAIN = re.compile(rf"{_BYTE}(?:\.{_BYTE}){{3}}", re.ASCII)
"""Pattern of a normal IPv4 address, the common case, for which `ipaddress` takes ten times as long."""
_MAPPED = "::ffff:"
"""Prefix of the IPv4 addresses that a socket of both families has."""


def plain_address(text: str) -> str | None:
    """Return an IP address in normal form, an IPv4-mapped one as IPv4; None for anything else."""
    plain = text.removeprefix(_MAPPED)
    if _PLAIN.fullmatch(plain):
        return plain
    try:
        found = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return str(found)


def peer_of(transport: asyncio.BaseTransport) -> str:
    """Return the address of a transport's peer, "" where it has none."""
    name = transport.get_extra_info("peername")
    return (plain_address(str(name[0])) or "") if isinstance(name, tuple) else ""
