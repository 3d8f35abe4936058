"""Scenarios of the ways from clients to servers: TLS at a proxy, TLS at the servers, ports of nodes, the API."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest
from websockets.asyncio.client import connect

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.e2e.test_cli import asked
from tests.kit.certificates import Mount, shown
from tests.kit.clients import Channel, ClientOptions, all_subscribed
from tests.kit.deadline import eventually
from tests.kit.document import dig, parse, whole_at
from tests.kit.kube import Kube
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.live_cluster import LiveCluster
from tests.kit.raw_client import RawClient
from tests.kit.running_cluster import manifest
from tests.kit.sdk import JavaScriptClients
from tests.kit.tls_proxies import IDLE_SECONDS, Caddy, HaProxy

TLS_NAME = "localhost"
"""Name in the certificates of the kit."""
RELOADED_SECONDS = 90
"""Seconds for the kubelet to write a changed Secret, and for the servers to read it."""
LONG_HEARTBEAT: JsonObject = {"heartbeat": {"interval": "1m", "timeout": "8s"}}


async def put_tls(kube: Kube, name: str, mount: Mount) -> None:
    """Create or replace a Secret with the current certificate of a mount."""
    await kube.apply(
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/tls",
            "metadata": {"name": name},
            "stringData": {"tls.crt": mount.certificate.read_text(), "tls.key": mount.key.read_text()},
        }
    )


async def test_stock_clients_connect_through_proxies_that_end_tls(
    scenario: Scenario, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An idle connection outlives HAProxy's timeout of requests, and publications arrive behind both proxies."""
    mount = Mount(tmp_path / "tls")
    mount.issue()
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(mount.authority))
    cluster = scenario.cluster()
    proxies: JsonObject = {"trusted": ["10.0.0.0/8", "127.0.0.0/8"]}
    await cluster.apply(manifest("main", replicas=1, server=LONG_HEARTBEAT, endpoint={"proxies": proxies}))
    await cluster.wait_ready()
    target = await cluster.address(naming.client_service("main"), naming.PORT_NAME_CLIENT)
    tokens = [await cluster.token(user) for user in ("alice", "bob")]
    async with (
        HaProxy(tmp_path / "haproxy", mount, target) as haproxy,
        Caddy(tmp_path / "caddy", mount, target) as caddy,
        JavaScriptClients(
            ClientOptions([haproxy.url, caddy.url], count=2, channels=[Channel("chat:tls")], tokens=tokens)
        ) as clients,
        await cluster.api() as api,
    ):
        await all_subscribed(clients)
        await asyncio.sleep(IDLE_SECONDS + 2)
        await api.publish("chat:tls", "hello")
        record = clients.record

        async def arrived() -> set[int]:
            return {publication.client for publication in record.publications()}

        await eventually(arrived, lambda found: found == {0, 1}, what="the publication at both", within=20)
        assert record.lost_connections() == []


async def node_port(cluster: LiveCluster) -> tuple[str, int]:
    """Return the address of a node, and the port of the clients' Service on it."""
    (pod, *_) = await cluster.pods()
    service = await cluster.kube.get("services", naming.client_service(cluster.name))
    ports = dig(service, "spec", "ports")
    assert isinstance(ports, list)
    return str(dig(pod, "status", "hostIP")), whole_at(ports[0], "nodePort")


async def test_servers_have_certificates_of_a_secret(scenario: Scenario, tmp_path: Path) -> None:
    """Clients connect by a node's port; a changed Secret reaches new clients, and open connections stay.

    The API has TLS too. `kubectl realtime` uses both through the API server's proxy, until backends need a certificate.
    """
    mount, backend, stranger = (Mount(tmp_path / name) for name in ("tls", "backend", "stranger"))
    first, *_ = (each.issue() for each in (mount, backend, stranger))
    await put_tls(scenario.kube, "certificate", mount)
    cluster = scenario.cluster()
    await cluster.put_secret("backends", {"ca.crt": backend.authority.read_text()})
    own: JsonObject = {"secretRef": {"name": "certificate"}}
    authority: JsonObject = {"ca": {"secretKeyRef": {"name": "backends", "key": "ca.crt"}}}
    await cluster.apply(
        manifest(
            "main",
            replicas=1,
            endpoint={"tls": own, "service": {"type": "NodePort", "port": 443}},
            api={"tls": own},
        )
    )
    ready = await cluster.wait_ready()
    assert str(dig(ready, "status", "endpoints", "client")).startswith("wss://")
    assert dig(parse(await asked(scenario, "probe", "--count", "3", "-o", "json")), "lost") == 0
    await cluster.patch(api={"tls": {**own, "clientCertificates": authority}})
    await cluster.wait_ready()
    host, port = await node_port(cluster)
    url = f"wss://{host}:{port}/connection/websocket"

    def opened() -> connect:
        return connect(url, ssl=mount.client(), server_hostname=TLS_NAME, proxy=None, ping_interval=None)

    async with opened() as connection:
        assert shown(connection) == first
        client = RawClient(connection)
        await client.connect(await cluster.token("alice"))
        await client.subscribe("chat:tls")
        second = mount.issue(days=3)
        await put_tls(scenario.kube, "certificate", mount)

        async def newest() -> int:
            async with opened() as other:
                return shown(other)

        await eventually(newest, lambda number: number == second, what="the new certificate", within=RELOADED_SECONDS)
        assert await statuses(cluster, mount, (backend, stranger)) == [200, 0]
        assert await client.publication() == "over mutual TLS"


async def statuses(cluster: LiveCluster, trusted: Mount, presented: tuple[Mount, ...]) -> list[int]:
    """Publish over TLS with each of the certificates; return the statuses, 0 for a refused handshake."""
    address = await cluster.address(naming.api_service(cluster.name), naming.PORT_NAME_API)
    headers = {"X-API-Key": await cluster.credential(naming.KEY_API)}
    body: JsonObject = {"channel": "chat:tls", "data": "over mutual TLS"}
    found = []
    for certificate in presented:
        context = trusted.client()
        context.load_cert_chain(certificate.certificate, certificate.key)
        async with aiohttp.ClientSession(headers=headers) as session:
            try:
                async with session.post(
                    f"https://{address}/api/publish", json=body, ssl=context, server_hostname=TLS_NAME
                ) as answer:
                    found.append(answer.status)
            except aiohttp.ClientError:
                found.append(0)
    return found
