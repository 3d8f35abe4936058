"""Scenarios of clients that come through real controllers of Ingress and Gateway API."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import aiohttp
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from tests.controllers.conftest import MakeController
from tests.e2e.test_endpoint import TLS_NAME, put_tls
from tests.kit.api import publishing
from tests.kit.certificates import Mount, shown
from tests.kit.clients import Channel, ClientOptions, Record, Transport, all_subscribed
from tests.kit.controllers.contour import ContourGateway, ContourIngress
from tests.kit.controllers.controller import Controller
from tests.kit.controllers.traefik import Traefik
from tests.kit.deadline import eventually
from tests.kit.document import dig, object_at, objects_at, text_at
from tests.kit.http_backend import HttpBackend
from tests.kit.kube import Kube
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.live_cluster import LiveCluster
from tests.kit.protocol_clients import PROTOCOLS, room_clients, users_in
from tests.kit.raw_client import RawClient
from tests.kit.running_cluster import manifest
from tests.kit.sdk import JavaScriptClients
from tests.kit.traffic import CHANNEL, Traffic, assert_nothing_lost

TRANSPORTS: tuple[Transport, ...] = ("websocket", "sse", "http_stream")
CLIENT = "127.0.0.2"
"""Address of a client: the controllers listen on 127.0.0.1, and pods see an address of the node."""
FORGED = "203.0.113.9"
ARRIVED_SECONDS = 10
"""Seconds for a single publication: a proxy that collects the response would hold it for longer."""
ANSWERED_SECONDS = 60
CERTIFICATE = "certificate"


def through_ingress(controller: Controller) -> JsonObject:
    """Return an endpoint behind an Ingress."""
    return {
        "ingress": {"className": controller.name, "hosts": [TLS_NAME], "tls": {"secretRef": {"name": CERTIFICATE}}},
        "proxies": {"trusted": ["10.0.0.0/8"]},
    }


def through_gateway(edge: Kube, listener: str, **endpoint: JsonObject) -> JsonObject:
    """Return an endpoint behind a listener of the Gateway."""
    parent: JsonObject = {"name": "public", "namespace": edge.namespace, "sectionName": listener}
    return {
        "gateway": {"parentRefs": [parent], "hostnames": [TLS_NAME]},
        "proxies": {"trusted": ["10.0.0.0/8"]},
        **endpoint,
    }


@contextlib.asynccontextmanager
async def asked(scenario: Scenario) -> AsyncIterator[HttpBackend]:
    """Run a backend that admits clients without a token, on the node's address."""
    nodes = json.loads(await scenario.kube.kubectl("get", "nodes", "-o", "json"))
    (address, *_) = (
        each["address"] for each in nodes["items"][0]["status"]["addresses"] if each["type"] == "InternalIP"
    )
    async with HttpBackend({"connect": lambda _: {"result": {"user": "anybody"}}}, host=address) as backend:
        yield backend


async def endpoint(cluster: LiveCluster, reason: str) -> str:
    """Wait until EndpointReady has a reason; return its message."""

    async def now() -> JsonObject:
        found = objects_at(await cluster.get(), "status", "conditions")
        return next((each for each in found if each["type"] == "EndpointReady"), {})

    wanted = await eventually(
        now, lambda found: found.get("reason") == reason, what=f"EndpointReady {reason}", within=ANSWERED_SECONDS
    )
    return text_at(wanted, "message")


@contextlib.asynccontextmanager
async def clients_of_all_transports(
    cluster: LiveCluster, url: str, channel: str, *, each: int = 2
) -> AsyncIterator[Sequence[JavaScriptClients]]:
    """Run subscribers of a channel, `each` for each transport."""
    channels = [Channel(channel, recoverable=True)]
    tokens = [await cluster.token(f"user-{number}") for number in range(each)]
    async with contextlib.AsyncExitStack() as stack:
        groups = [
            await stack.enter_async_context(
                JavaScriptClients(
                    ClientOptions(
                        endpoints=[url], count=each, channels=channels, tokens=tokens, transport=transport,
                        min_reconnect_delay=0.1, max_reconnect_delay=1.0,
                    )
                )
            )
            for transport in TRANSPORTS
        ]  # fmt: skip
        for group in groups:
            await all_subscribed(group, within=30)
        yield groups


async def assert_delivered(cluster: LiveCluster, url: str) -> None:
    """Check that a single publication arrives at once by every transport, without a lost connection."""
    async with clients_of_all_transports(cluster, url, "chat:alone") as groups, await cluster.api() as api:
        await api.publish("chat:alone", "at once")
        for group in groups:

            def arrived(record: Record) -> bool:
                return {publication.client for publication in record.publications()} == {0, 1}

            await group.record.wait(arrived, what=group.options.transport, within=ARRIVED_SECONDS)
            assert group.record.lost_connections() == []


async def assert_nothing_lost_in_a_rollout(cluster: LiveCluster, url: str) -> None:
    """Replace all servers while subscribers of all transports get 50 publications per second."""
    async with (
        clients_of_all_transports(cluster, url, CHANNEL) as groups,
        await cluster.api() as api,
        publishing(api, CHANNEL, per_second=50) as publisher,
    ):
        running = Traffic(tuple(groups), publisher)
        await cluster.patch(server={"limits": {"messagesPerSecond": 200}})
        await cluster.wait_ready()
        await assert_nothing_lost(running, moved_by=None)
        assert len(running.lost_connections()) >= 2 * len(TRANSPORTS), "every connection was on an old server"


async def assert_private(cluster: LiveCluster, controller: Controller, mount: Mount) -> None:
    """Check that the server API, with its key, and the admin API are not reachable from outside."""
    headers = {"X-API-Key": await cluster.credential(naming.KEY_API)}
    async with aiohttp.ClientSession(headers=headers) as session:
        for path in ("api/info", "admin/v1/status", "metrics"):
            url = f"https://localhost:{controller.port}/{path}"
            async with session.post(url, json={}, ssl=mount.client()) as answer:
                assert answer.status == 404, path


async def remote_address(url: str, mount: Mount, backend: HttpBackend) -> str:
    """Connect from CLIENT, with a header that says otherwise; return what the backend is told."""
    async with connect(
        url, ssl=mount.client(), proxy=None, local_addr=(CLIENT, 0), additional_headers={"X-Forwarded-For": FORGED}
    ) as connection:
        reply = await RawClient(connection).command(id=1, connect={})
        assert "connect" in reply, reply
    return str(backend.bodies("connect")[-1]["remote_address"])


def without_limits(controller: Controller, routes: Sequence[JsonObject]) -> bool:
    """Return True when the proxy's own configuration ends no long response and upgrades to WebSocket."""
    if isinstance(controller, Traefik):
        return [text_at(route, "status") for route in routes] == ["enabled"] * len(routes)
    upgrades = isinstance(controller, ContourGateway) or all(
        dig(route, "route", "upgrade_configs") == [{"upgrade_type": "websocket"}] for route in routes
    )
    return upgrades and all(dig(route, "route", "timeout") == "0s" for route in routes)


async def assert_everything(
    cluster: LiveCluster, controller: Controller, mount: Mount, backend: HttpBackend, said: str
) -> None:
    """Check all that clients need of a cluster behind a running controller."""
    assert said in await endpoint(cluster, "EndpointAvailable")
    await cluster.wait_ready()
    assert without_limits(controller, await controller.routed())
    await assert_private(cluster, controller, mount)
    assert await remote_address(controller.url, mount, backend) == CLIENT
    await assert_delivered(cluster, controller.url)
    await assert_nothing_lost_in_a_rollout(cluster, controller.url)


def spec(backend: HttpBackend, endpoint: JsonObject) -> JsonObject:
    """Return a cluster of two servers with an endpoint, which asks the backend about clients without a token."""
    return manifest("main", replicas=2, endpoint=endpoint, hooks={"connect": {"url": backend.url("connect")}})


@pytest.mark.parametrize("kind", [ContourIngress, Traefik])
async def test_clients_come_through_an_ingress(
    kind: type[Controller], scenario: Scenario, make_controller: MakeController, mount: Mount
) -> None:
    """All transports, over TLS, during a rolling update; the controller reports its address."""
    controller = await make_controller(kind)
    await put_tls(scenario.kube, CERTIFICATE, mount)
    cluster = scenario.cluster()
    async with controller, asked(scenario) as backend:
        await cluster.apply(spec(backend, through_ingress(controller)))
        await assert_everything(cluster, controller, mount, backend, "Ingress main has the address 127.0.0.1")


async def assert_shared(cluster: LiveCluster, controller: Controller, mount: Mount) -> None:
    """Check that a client of each protocol comes through, and gets what each publishes."""
    await cluster.wait_ready()
    await endpoint(cluster, "EndpointAvailable")
    await (await opened(controller.url, mount)).close()
    origin = controller.url.removesuffix(naming.CLIENT_PATH)
    secret = await cluster.credential(naming.KEY_TOKEN_SECRET)
    async with room_clients(origin, secret, "door") as clients, await cluster.api() as api:
        everyone = sorted(clients)
        await eventually(
            lambda: users_in(api, "door"), lambda users: users == everyone, what="all", within=ANSWERED_SECONDS
        )
        for user, client in clients.items():
            await client.publish({"from": user})

        async def heard() -> list[list[str]]:
            return [sorted(text_at(data, "from") for data in client.received) for client in clients.values()]

        await eventually(
            heard, lambda found: all(one == everyone for one in found), what="all", within=ANSWERED_SECONDS
        )


@pytest.mark.parametrize("kind", [ContourIngress, Traefik])
@pytest.mark.parametrize("paths", [["/"], ["/connection", "/socket.io", "/ws"]], ids=["everything", "listed"])
async def test_clients_of_all_protocols_come_through_an_ingress(
    kind: type[Controller],
    paths: list[JsonValue],
    scenario: Scenario,
    make_controller: MakeController,
    mount: Mount,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With the default path, and with theirs alone."""
    monkeypatch.setenv("SSL_CERT_FILE", str(mount.authority))
    controller = await make_controller(kind)
    await put_tls(scenario.kube, CERTIFICATE, mount)
    behind = through_ingress(controller)
    behind["ingress"] = {**object_at(behind, "ingress"), "paths": paths}
    cluster = scenario.cluster()
    async with controller:
        await cluster.apply(manifest("main", replicas=1, endpoint=behind, protocols=PROTOCOLS))
        await assert_shared(cluster, controller, mount)


@pytest.mark.parametrize("kind", [ContourGateway, Traefik])
async def test_clients_of_all_protocols_come_through_a_gateway(
    kind: type[Controller],
    scenario: Scenario,
    edge: Kube,
    make_controller: MakeController,
    mount: Mount,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An HTTPRoute passes on all paths."""
    monkeypatch.setenv("SSL_CERT_FILE", str(mount.authority))
    controller = await make_controller(kind)
    await put_tls(edge, CERTIFICATE, mount)
    await edge.apply(controller.gateway(CERTIFICATE))
    cluster = scenario.cluster()
    async with controller:
        behind = through_gateway(edge, "https")
        await cluster.apply(manifest("main", replicas=1, endpoint=behind, protocols=PROTOCOLS))
        await assert_shared(cluster, controller, mount)


@pytest.mark.parametrize("kind", [ContourGateway, Traefik])
async def test_clients_come_through_a_gateway(
    kind: type[Controller], scenario: Scenario, edge: Kube, make_controller: MakeController, mount: Mount
) -> None:
    """First the Gateway refuses the route, and the cluster says why; then all transports come through it."""
    controller = await make_controller(kind)
    await put_tls(edge, CERTIFICATE, mount)
    await edge.apply(controller.gateway(CERTIFICATE, routes_from="Same"))
    cluster = scenario.cluster()
    async with controller, asked(scenario) as backend:
        await cluster.apply(spec(backend, through_gateway(edge, "https")))
        listener = f"listener https of Gateway {edge.namespace}/public"
        refusal = await endpoint(cluster, "RouteNotAccepted")
        assert refusal.startswith(f"{listener} does not accept HTTPRoute main: NotAllowedByListeners"), refusal
        await edge.apply(controller.gateway(CERTIFICATE))
        await assert_everything(cluster, controller, mount, backend, f"{listener} has accepted HTTPRoute main")


@pytest.mark.parametrize("kind", [ContourGateway, Traefik])
async def test_a_gateway_passes_tls_on_to_servers_with_certificates(
    kind: type[Controller], scenario: Scenario, edge: Kube, make_controller: MakeController, tmp_path: Path
) -> None:
    """Clients see the servers' own certificate."""
    controller, own, other = await make_controller(kind), Mount(tmp_path / "own"), Mount(tmp_path / "other")
    serial, _ = own.issue(), other.issue()
    await put_tls(scenario.kube, CERTIFICATE, own)
    await put_tls(edge, CERTIFICATE, other)
    await edge.apply(controller.gateway(CERTIFICATE))
    cluster = scenario.cluster()
    async with controller:
        tls: JsonObject = {"secretRef": {"name": CERTIFICATE}}
        await cluster.apply(manifest("main", replicas=1, endpoint=through_gateway(edge, "tls", tls=tls)))
        await cluster.wait_ready()
        said = await endpoint(cluster, "EndpointAvailable")
        assert said == f"listener tls of Gateway {edge.namespace}/public has accepted TLSRoute main"
        url = f"wss://localhost:{controller.passthrough_port}/connection/websocket"
        async with await opened(url, own) as connection, await cluster.api() as api:
            assert shown(connection) == serial
            client = await RawClient(connection).connect(await cluster.token("alice"))
            await client.subscribe("chat:tls")
            await api.publish("chat:tls", "passed on")
            assert await client.publication() == "passed on"


async def test_an_ingress_speaks_tls_to_servers_with_certificates(
    scenario: Scenario, make_controller: MakeController, tmp_path: Path
) -> None:
    """Clients see the certificate of the Ingress; the annotation of the Service says that the servers have another."""
    controller, own, front = await make_controller(ContourIngress), Mount(tmp_path / "own"), Mount(tmp_path / "front")
    _, serial = own.issue(), front.issue()
    await put_tls(scenario.kube, "own", own)
    await put_tls(scenario.kube, CERTIFICATE, front)
    cluster = scenario.cluster()
    async with controller:
        tls: JsonObject = {"secretRef": {"name": "own"}}
        await cluster.apply(manifest("main", replicas=1, endpoint={**through_ingress(controller), "tls": tls}))
        await cluster.wait_ready()
        await endpoint(cluster, "EndpointAvailable")
        async with await opened(controller.url, front) as connection:
            assert shown(connection) == serial
            await RawClient(connection).connect(await cluster.token("alice"))


async def opened(url: str, trusted: Mount) -> ClientConnection:
    """Open a WebSocket as soon as the proxy has an answer: it follows changes of routes and pods with a delay."""

    async def attempt() -> ClientConnection | str:
        try:
            return await connect(url, ssl=trusted.client(), proxy=None, ping_interval=None)
        except (OSError, WebSocketException) as error:
            return str(error)

    found = await eventually(
        attempt, lambda got: isinstance(got, ClientConnection), what=f"a connection to {url}", within=ANSWERED_SECONDS
    )
    assert isinstance(found, ClientConnection)
    return found
