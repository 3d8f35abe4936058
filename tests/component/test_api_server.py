"""API server with an authority that is some years old, as in many clusters, reached as by kubectl."""

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
    """Return certificates without key identifiers, which Python refuses from 3.13 on."""
    mount = Mount(tmp_path / "old", identifiers=False)
    mount.issue()
    return mount


@pytest.fixture
async def url(old: Mount, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """Start a server that reports a version as an API server does, with KUBECONFIG set to it; return its URL."""
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
    """Write a kubeconfig with a person's credentials for one cluster."""
    document = {
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": str(authority)}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "c",
    }
    path.write_text(yaml.safe_dump(document))


async def test_the_client_trusts_an_old_authority(url: str) -> None:
    """Objects, streams, and services behind the API server's proxy are reachable."""
    assert url
    client = await KubernetesClient.connect(Metrics())
    try:
        assert await client.get("/version") == {"gitVersion": "v1.34.4"}
        assert await client.call("GET", "/version", headers={}) == b'{"gitVersion": "v1.34.4"}'
        assert [line async for line in client.lines("/version", {})] == ['{"gitVersion": "v1.34.4"}']
    finally:
        await client.close()


async def test_watches_trust_an_old_authority(url: str) -> None:
    """The session passed to kopf trusts it."""
    client = await KubernetesClient.connect(Metrics())
    try:
        async with watch_session(client) as session, session.get(f"{url}/version") as response:
            assert response.status == 200
    finally:
        await client.close()


def watch_session(client: KubernetesClient) -> aiohttp.ClientSession:
    """Return the session with which kopf lists and watches."""
    return WatchSession(client, ObjectStore(()), print).open()


async def test_another_authority_is_not_trusted(url: str, tmp_path: Path) -> None:
    """Chain, name and dates are still checked."""
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
