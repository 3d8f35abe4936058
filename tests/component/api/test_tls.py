"""The API's port with TLS: certificates of servers and of backends, replaced while calls are made."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import aiohttp
import pytest

from realtime_operator.api.base import JsonObject
from tests.kit.certificates import Mount
from tests.kit.deadline import eventually
from tests.kit.server_process import API_KEY, ServerProcess

HEADERS = {"X-API-Key": API_KEY}
RELOADED_SECONDS = 20


def api_of(mount: Mount, folder: Path, **options: str) -> JsonObject:
    """Return the server's settings of the API with a certificate and further options of TLS."""
    key = folder / "api-key"
    key.write_text(API_KEY)
    tls: JsonObject = {"certificate_file": str(mount.certificate), "key_file": str(mount.key), **options}
    return {"key_file": str(key), "tls": tls}


class Backend:
    """A backend that trusts the authority of the server, and presents a certificate if it has one."""

    def __init__(self, server: ServerProcess, trusted: Mount, own: Mount | None = None) -> None:
        self.context = trusted.client()
        if own is not None:
            self.context.load_cert_chain(own.certificate, own.key)
        self._url = f"https://127.0.0.1:{server.api_port}/api/info"

    async def call(self, session: aiohttp.ClientSession) -> int:
        """Call the API; return the status. Raises aiohttp's errors."""
        async with session.post(self._url, json={}, headers=HEADERS, ssl=self.context) as response:
            await response.read()
            return response.status

    async def once(self) -> bool:
        """Call the API on a connection of its own; return True when it was answered."""
        async with aiohttp.ClientSession() as session:
            try:
                return await self.call(session) == 200
            except aiohttp.ClientError:
                return False


async def test_the_api_is_called_over_tls_with_kept_connections(tmp_path: Path) -> None:
    """A certificate that replaces the first is for new connections; a kept one goes on."""
    mount = Mount(tmp_path / "tls")
    mount.issue()
    async with (
        ServerProcess("api-tls", None, api=api_of(mount, tmp_path)) as server,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as session,
    ):
        backend = Backend(server, mount)
        assert await backend.call(session) == 200
        successor = Mount(tmp_path / "successor")
        successor.issue()
        mount.put(successor.certificate.read_bytes(), successor.key.read_bytes())
        newer = Backend(server, successor)

        await eventually(newer.once, bool, what="the new certificate", within=RELOADED_SECONDS, every=0.5)
        assert not await backend.once(), "its authority has not signed the new certificate"
        assert await backend.call(session) == 200, "the kept connection"


async def test_only_backends_with_a_certificate_are_answered(tmp_path: Path) -> None:
    """One of another authority is refused; a replaced authority counts for new connections alone."""
    mount, own, stranger = (Mount(tmp_path / name) for name in ("tls", "backend", "stranger"))
    for each in (mount, own, stranger):
        each.issue()
    authority = tmp_path / "authority.pem"
    authority.write_bytes(own.authority.read_bytes())
    async with ServerProcess("api-mtls", None, api=api_of(mount, tmp_path, client_ca_file=str(authority))) as server:
        known, unknown, bare = Backend(server, mount, own), Backend(server, mount, stranger), Backend(server, mount)
        assert [await each.once() for each in (known, unknown, bare)] == [True, False, False]
        authority.write_bytes(stranger.authority.read_bytes())
        await eventually(unknown.once, bool, what="the new authority", within=RELOADED_SECONDS, every=0.5)
        assert [await each.once() for each in (known, bare)] == [False, False], "the former authority is forgotten"


async def test_what_is_no_handshake_keeps_nobody_out(tmp_path: Path) -> None:
    """Silent sockets wait while others are answered; plain HTTP and TLS below `min_version` are refused."""
    mount = Mount(tmp_path / "tls")
    mount.issue()
    async with ServerProcess("api-idle", None, api=api_of(mount, tmp_path, min_version="1.3")) as server:
        idle = [await asyncio.open_connection("127.0.0.1", server.api_port) for _ in range(50)]
        backend = Backend(server, mount)
        assert await backend.once()
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientError):
                await session.post(f"http://127.0.0.1:{server.api_port}/api/info", json={}, headers=HEADERS)
        backend.context.maximum_version = ssl.TLSVersion.TLSv1_2
        assert not await backend.once()
        for _, writer in idle:
            writer.close()
