"""Scenarios of kubectl's columns, and of messages across servers."""

from __future__ import annotations

from tests.kit.clients import Channel, ClientOptions, StockClients, all_subscribed
from tests.kit.document import text_at
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.running_cluster import QUICKSTART, manifest, manifests_of
from tests.kit.sdk import JavaScriptClients


async def test_kubectl_get_has_the_columns_that_people_look_for(scenario: Scenario) -> None:
    """The columns are phase, servers, connections, revision and endpoint, also by the short name of the kind."""
    cluster = scenario.cluster()
    (document,) = manifests_of(QUICKSTART)
    await cluster.apply(document)
    await cluster.wait_ready()
    printed = await scenario.kube.kubectl("get", "rtc")
    assert {"PHASE", "READY", "CONNECTIONS", "REVISION", "ENDPOINT", "AGE"} <= set(printed.split("\n")[0].split())


async def test_messages_cross_servers(scenario: Scenario) -> None:
    """With a client at each of two servers, publications of clients and of the API reach both."""
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
