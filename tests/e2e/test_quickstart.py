"""The first thing that a user does, and that what is published reaches everybody."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.conftest import Scenario
from tests.kit.clients import Channel, ClientOptions, StockClients, all_subscribed
from tests.kit.document import text_at
from tests.kit.kube import name_of
from tests.kit.live_cluster import manifest, manifests_of
from tests.kit.python_sdk import PythonClients
from tests.kit.sdk import JavaScriptClients
from tests.kit.traffic import clients_of

QUICKSTART = Path(__file__).parents[2] / "examples" / "quickstart.yaml"


async def test_quickstart_gives_a_service_that_stock_sdks_use(scenario: Scenario) -> None:
    """Kubectl apply of examples/quickstart.yaml, wait for Ready, connect, publish, receive: with both SDKs."""
    documents = manifests_of(QUICKSTART)
    await scenario.kube.apply(*documents)
    cluster = scenario.cluster(name_of(documents[-1]))
    ready = await cluster.wait_ready()
    assert text_at(ready, "status", "endpoints", "client")
    printed = await scenario.kube.kubectl("get", "rtc")
    assert {"PHASE", "READY", "CONNECTIONS", "REVISION", "ENDPOINT", "AGE"} <= set(printed.split("\n")[0].split())
    for kind in (JavaScriptClients, PythonClients):
        async with (
            await clients_of(cluster, kind, count=2, channels=["chat:lobby"]) as clients,
            await cluster.api() as api,
        ):
            await all_subscribed(clients)
            await api.publish("chat:lobby", {"text": f"hello {kind.__name__}"})
            await clients.record.wait(lambda r: len(r.publications()) == 2, what="the publication at both clients")
            assert {str(p.data) for p in clients.record.publications()} == {f"{{'text': 'hello {kind.__name__}'}}"}


async def test_messages_cross_servers(scenario: Scenario) -> None:
    """A client at each of two servers: what one publishes reaches the other; the API reaches both."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=2))
    await cluster.wait_ready()
    endpoints = [
        f"ws://{text_at(pod, 'status', 'podIP')}:8000/connection/websocket" for pod in await cluster.available()
    ]
    assert len(endpoints) == 2
    options = ClientOptions(
        endpoints=endpoints,
        count=2,
        channels=[Channel("chat:crossing", recoverable=True)],
        tokens=[await cluster.token(f"user-{number}") for number in range(2)],
    )
    async with JavaScriptClients(options) as clients, await cluster.api() as api:
        await all_subscribed(clients)
        assert sorted((await cluster.connections()).values()) == [1, 1]
        await _publish_from_both(clients)
        await api.publish("chat:crossing", "from the api")
        await clients.record.wait(lambda r: len(r.publications()) == 6, what="3 publications at each of 2 clients")
        first, second = (clients.record.publications(client=client) for client in (0, 1))
        assert {p.data for p in first} == {"from 0", "from 1", "from the api"}
        assert [(p.offset, p.data) for p in first] == [(p.offset, p.data) for p in second]


async def _publish_from_both(clients: StockClients) -> None:
    for client in (0, 1):
        await clients.call(client, "publish", channel="chat:crossing", data=f"from {client}")
