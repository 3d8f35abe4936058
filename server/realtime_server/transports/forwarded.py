"""Client address of a request behind proxies: from X-Forwarded-For, or Forwarded (RFC 7239). Sans I/O.

Every proxy appends the address of its peer. Entries of the client itself come first and may be forged, so the addresses
are read from the end, as long as the proxies that wrote them are trusted.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from realtime_server.transports.addresses import plain_address

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
HeaderName: TypeAlias = Literal["X-Forwarded-For", "Forwarded"]
"""Name of the trusted header: a proxy that writes one of them passes on the client's own value of the other."""
MAX_HOPS = 32
"""Number of addresses that are read, from the end."""

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a part of RFC 9110's grammar
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_PAIR = re.compile(rf"\s*({_TOKEN})=({_TOKEN}|{_QUOTED})\s*")
_ELEMENT = re.compile(rf"(?:[^,\"]|{_QUOTED})*")


def address_in(node: str) -> str | None:
    """Return the address in a node identifier (RFC 7239, section 6), with or without port and brackets."""
    if node.startswith("["):
        inside, bracket, port = node[1:].partition("]")
        return plain_address(inside) if bracket and (not port or port.startswith(":")) else None
    if node.count(":") == 1:
        node = node.partition(":")[0]
    return plain_address(node)


def x_forwarded_for(values: Iterable[str]) -> list[str | None]:
    """Return the addresses in all lines of the header, in order; None for an invalid one."""
    return [address_in(part.strip()) for part in ",".join(values).split(",") if part.strip()]


def forwarded(values: Iterable[str]) -> list[str | None]:
    """Return the addresses of RFC 7239's header: one entry per element, from its parameter `for`."""
    return [_for_in(element) for element in _elements(",".join(values)) if element.strip()]


def _elements(text: str) -> Iterable[str]:
    """Yield the parts between commas outside of quotes."""
    at = 0
    while at <= len(text):
        match = _ELEMENT.match(text, at)
        assert match is not None  # the expression matches nothing, too
        end = match.end()
        if end < len(text) and text[end] != ",":
            yield text[at:]  # an unterminated quote
            return
        yield match.group()
        at = end + 1


def _for_in(element: str) -> str | None:
    found: str | None = None
    at = 0
    while at < len(element):
        match = _PAIR.match(element, at)
        if match is None:
            return None
        name, value = match.groups()
        if name.lower() == "for":
            if found is not None:
                return None
            found = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        at = match.end()
        if at < len(element):
            if element[at] != ";":
                return None
            at += 1
    return None if found is None else address_in(found)


_READERS = {"X-Forwarded-For": x_forwarded_for, "Forwarded": forwarded}


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """Trusted proxies in front of this server, by their networks, and the header that they write."""

    networks: tuple[Network, ...] = ()
    header: HeaderName = "X-Forwarded-For"

    def __contains__(self, address: str) -> bool:
        """Return True when an address is that of a trusted proxy."""
        if not self.networks:
            return False
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(found in network for network in self.networks)

    def client_of(self, peer: str, values: Sequence[str]) -> str:
        """Return the client's address of a request from `peer` with these lines of the header.

        It is the address from which the last trusted proxy was reached; where that is unreadable, it is that proxy
        itself.
        """
        if not values or peer not in self:
            return peer
        address = peer
        for found in reversed(_READERS[self.header](values)[-MAX_HOPS:]):
            if found is None:
                break
            address = found
            if found not in self:
                break
        return address


NO_PROXIES = TrustedProxies()
"""No trusted proxy."""
