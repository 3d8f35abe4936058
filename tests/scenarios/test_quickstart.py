"""Scenario of a user's first steps."""

from __future__ import annotations

from tests.kit.clients import all_subscribed
from tests.kit.document import text_at
from tests.kit.python_sdk import PythonClients
from tests.kit.running_cluster import QUICKSTART, RunningCluster, manifests_of
from tests.kit.sdk import JavaScriptClients
from tests.kit.traffic import clients_of


async def test_quickstart_gives_a_service_that_stock_sdks_use(cluster: RunningCluster) -> None:
    """examples/quickstart.yaml becomes Ready, and both SDKs connect, publish and receive."""
    (document,) = manifests_of(QUICKSTART)
    await cluster.apply(document)
    ready = await cluster.wait_ready()
    assert text_at(ready, "status", "endpoints", "client")
    for kind in (JavaScriptClients, PythonClients):
        async with (
            await clients_of(cluster, kind, count=2, channels=["chat:lobby"]) as clients,
            await cluster.api() as api,
        ):
            await all_subscribed(clients)
            await api.publish("chat:lobby", {"text": f"hello {kind.__name__}"})
            await clients.record.wait(lambda r: len(r.publications()) == 2, what="the publication at both clients")
            assert {str(p.data) for p in clients.record.publications()} == {f"{{'text': 'hello {kind.__name__}'}}"}
