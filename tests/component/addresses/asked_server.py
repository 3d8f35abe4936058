"""A server with its default addresses in a network of one kind, asked by each address of the machine.

`python -m tests.component.addresses.asked_server KIND`, in a network namespace of its own, makes the network, starts
the server and prints the answers of each address as JSON.
"""

from __future__ import annotations

import asyncio
import ctypes
import errno
import json
import platform
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from realtime_operator.api.base import JsonObject
from realtime_server.settings import Listen
from tests.kit.http_backend import HttpBackend
from tests.kit.raw_client import raw_client
from tests.kit.server_process import ServerProcess

IPV4, IPV6 = "10.9.8.7", "fd00::7"
KINDS: Mapping[str, tuple[str, ...]] = {
    "dual": (IPV4, IPV6),
    "ipv6": (IPV6,),
    "ipv4": (IPV4,),
    "kernel without ipv6": (IPV4,),
}
"""Addresses of the machine by kind of network. The loopback interface has 127.0.0.1 in each, as in a pod."""
SYSTEM_CALL = {"x86_64": 41, "aarch64": 198}
"""Number of the system call socket(2)."""
PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, SECCOMP_MODE_FILTER = 22, 38, 2
RETURN_ALLOW, RETURN_ERRNO = 0x7FFF0000, 0x00050000


def make_network(kind: str) -> None:
    """Give the namespace the addresses, and remove those that its machine lacks."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    if kind == "ipv4":
        for name in ("all", "default", "lo"):
            Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
    for address in KINDS[kind]:
        subprocess.run(["ip", "address", "add", address, "dev", "lo"], check=True)
    if kind == "kernel without ipv6":
        refuse_ipv6()


def refuse_ipv6() -> None:
    """Make socket(AF_INET6) fail in this process and its children as on a kernel booted with `ipv6.disable=1`."""
    load, equal, answer = 0x20, 0x15, 0x06
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (load, 0, 0, 0),  # the number of the system call
            (equal, 0, 3, SYSTEM_CALL[platform.machine()]),
            (load, 0, 0, 16),  # its first argument
            (equal, 0, 1, socket.AF_INET6),
            (answer, 0, 0, RETURN_ERRNO | errno.EAFNOSUPPORT),
            (answer, 0, 0, RETURN_ALLOW),
        )
    )
    code = ctypes.create_string_buffer(program)
    filters = ctypes.create_string_buffer(struct.pack("@HP", len(program) // 8, ctypes.addressof(code)))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, filters):
        raise OSError(ctypes.get_errno(), "no filter of system calls")


async def status(url: str) -> int:
    """Return the status of a URL's answer."""
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url) as response:
        return response.status


async def asked(addresses: tuple[str, ...]) -> JsonObject:
    """Start the server; return the answers of its ports by address, and the client addresses that the backend got."""
    found: JsonObject = {}
    async with HttpBackend({"connect": lambda _: {"result": {"user": "alice"}}}) as backend:
        hooks: JsonObject = {"connect": {"url": backend.url("connect")}}
        async with ServerProcess("asked", None, hooks=hooks, listen={"host": Listen().host}) as server:
            for address in addresses:
                host = f"[{address}]" if ":" in address else address
                async with raw_client(f"ws://{host}:{server.client_port}/connection/websocket") as client:
                    await client.connect("")
                found[address] = {
                    "told": str(backend.bodies("connect")[-1]["remote_address"]),
                    "api": await status(f"http://{host}:{server.api_port}/health"),
                    "admin": await status(f"http://{host}:{server.admin_port}/health/ready"),
                }
    return found


if __name__ == "__main__":
    make_network(sys.argv[1])
    print(json.dumps(asyncio.run(asked(KINDS[sys.argv[1]]))))
