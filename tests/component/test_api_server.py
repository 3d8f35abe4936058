"""An API server whose authority is some years old, as that of many clusters: reached as kubectl reaches it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web

from realtime_operator.errors import PlatformError
from realtime_operator.metrics import Metrics
from realtime_operator.platforms.kubernetes.client import KubernetesClient
from realtime_operator.platforms.kubernetes.store import ObjectStore
from realtime_operator.platforms.kubernetes.watch_session import WatchSession
from tests.kit.certificates import Mount, check_strictly
from tests.kit.redis_process import free_port


@pytest.fixture
def old(tmp_path: Path) -> Mount:
    """Certificates without key identifiers, which Python refuses from 3.13 on."""
    mount = Mount(tmp_path / "old", identifiers=False)
    mount.issue()
    return mount


@pytest.fixture
async def url(old: Mount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Something that tells its version as an API server does, and is what KUBECONFIG means."""
    check_strictly(monkeypatch)
    kubeconfig = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))

    async def version(_request: web.Request) -> web.Response:
        return web.json_response({"gitVersion": "v1.34.4"})

    application = web.Application()
    application.router.add_get("/version", version)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=old.server()).start()
    address = f"https://127.0.0.1:{port}"
    write_kubeconfig(kubeconfig, address, old.authority)
    try:
        yield address
    finally:
        await runner.cleanup()


def write_kubeconfig(path: Path, server: str, authority: Path) -> None:
    """Credentials of a person for one cluster."""
    document = {
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": str(authority)}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    path.write_text(yaml.safe_dump(document))


async def test_the_client_trusts_an_old_authority(url: str) -> None:
    """For objects, for what it streams and for what is behind the API server's proxy."""
    assert url
    client = await KubernetesClient.connect(Metrics())
    try:
        assert await client.get("/version") == {"gitVersion": "v1.34.4"}
        assert await client.call("GET", "/version", headers={}) == b'{"gitVersion": "v1.34.4"}'
        assert [line async for line in client.lines("/version", {})] == ['{"gitVersion": "v1.34.4"}']
    finally:
        await client.close()


async def test_watches_trust_an_old_authority(url: str) -> None:
    """In the session that kopf is given."""
    client = await KubernetesClient.connect(Metrics())
    try:
        async with watch_session(client) as session, session.get(f"{url}/version") as response:
            assert response.status == 200
    finally:
        await client.close()


def watch_session(client: KubernetesClient) -> aiohttp.ClientSession:
    """The session in which kopf lists and watches."""
    return WatchSession(client, ObjectStore(()), print).open()


async def test_another_authority_is_not_trusted(url: str, tmp_path: Path) -> None:
    """The chain, the name and the dates are checked as ever."""
    write_kubeconfig(tmp_path / "kubeconfig", url, Mount(tmp_path / "other").authority)
    client = await KubernetesClient.connect(Metrics())
    try:
        with pytest.raises(PlatformError, match="certificate verify failed"):
            await client.get("/version")
        async with watch_session(client) as session:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(f"{url}/version")
    finally:
        await client.close()
