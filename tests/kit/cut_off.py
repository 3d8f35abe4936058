"""A network namespace for one process that can be cut off silently. Needs root."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import secrets
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

NETWORK = ipaddress.ip_network("198.18.0.0/15")
"""The addresses for tests of networks (RFC 2544). Each island has four of its own, which only ever exist between the
ends of one cable; there are so many that test runs on one machine do not meet."""


@dataclass(frozen=True, slots=True)
class Island:
    """A namespace connected by a veth pair; prefix commands with `launcher` to run them in it.

    `address` is that of its end of the cable, `near` that of this host's.
    """

    name: str
    address: str
    near: str

    @property
    def launcher(self) -> tuple[str, ...]:
        """Command prefix that runs a program in the namespace."""
        return ("ip", "netns", "exec", self.name)

    def cut(self) -> None:
        """Drop every packet in both directions, so that neither side notices."""
        for chain in ("INPUT", "OUTPUT"):
            self._run("iptables", "-A", chain, "-j", "DROP")

    def cut_connection(self, port: int) -> None:
        """Drop the packets of one connection, given by its TCP port on this host."""
        self._run("iptables", "-A", "INPUT", "-p", "tcp", "--sport", str(port), "-j", "DROP")
        self._run("iptables", "-A", "OUTPUT", "-p", "tcp", "--dport", str(port), "-j", "DROP")

    def join(self) -> None:
        """Stop dropping packets."""
        self._run("iptables", "-F")

    def _run(self, *words: str) -> None:
        _run(*self.launcher, *words)


def may_make_islands() -> bool:
    """Return True when this process may create network namespaces."""
    return os.geteuid() == 0


@contextlib.contextmanager
def island() -> Iterator[Island]:
    """Create a namespace with an address that this host reaches; remove it after the body."""
    name = f"island-{secrets.token_hex(3)}"
    outer, inner = f"o-{name[-6:]}", f"i-{name[-6:]}"
    first = NETWORK[secrets.randbelow(NETWORK.num_addresses // 4) * 4]
    near, far = str(first + 1), str(first + 2)
    made = Island(name, far, near)
    _run("ip", "netns", "add", name)
    try:
        _run("ip", "link", "add", outer, "type", "veth", "peer", "name", inner, "netns", name)
        _run("ip", "address", "add", f"{near}/30", "dev", outer)
        _run("ip", "link", "set", outer, "up")
        _run(*made.launcher, "ip", "address", "add", f"{far}/30", "dev", inner)
        _run(*made.launcher, "ip", "link", "set", inner, "up")
        _run(*made.launcher, "ip", "link", "set", "lo", "up")
        yield made
    finally:
        _run("ip", "netns", "del", name)  # takes both ends of the cable along


def _run(*words: str) -> None:
    subprocess.run(words, check=True, capture_output=True, timeout=10)
