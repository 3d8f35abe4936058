"""Reachable addresses of a server on machines with IPv6, IPv4 or both."""

from __future__ import annotations

import asyncio
import json
import os
import sys

import pytest

from tests.component.addresses.asked_server import KINDS

NAMESPACE = ("unshare", "--net", *(() if os.geteuid() == 0 else ("--user", "--map-root-user")))
SECONDS = 60


@pytest.mark.parametrize("kind", KINDS)
async def test_every_address_of_the_machine_is_served(kind: str) -> None:
    """All three ports answer; an IPv4 client has an IPv4 address, even on an IPv6 socket."""
    process = await asyncio.create_subprocess_exec(
        *NAMESPACE, sys.executable, "-P", "-m", "tests.component.addresses.asked_server", kind,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(SECONDS):
        out, error = await process.communicate()
    assert process.returncode == 0, out.decode() + error.decode()
    expected = {address: {"told": address, "api": 200, "admin": 200} for address in KINDS[kind]}
    assert json.loads(out.decode().splitlines()[-1]) == expected
