"""Scenario of traces: what the resource says reaches the servers, which export."""

from __future__ import annotations

from realtime_operator.api.base import JsonObject
from tests.kit.clients import all_subscribed
from tests.kit.collector import Collector
from tests.kit.local_cluster import LocalCluster
from tests.kit.running_cluster import manifest
from tests.kit.traffic import CHANNEL, subscribers

SAMPLED = {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}


async def test_the_servers_of_a_cluster_export_one_trace_with_the_secret_of_the_spec(cluster: LocalCluster) -> None:
    """The header's value comes from a Secret of the file; the service is the cluster."""
    async with Collector() as collector:
        header: JsonObject = {"name": "Authorization", "secretKeyRef": {"name": "collector", "key": "token"}}
        document = manifest("main", replicas=2, tracing={"endpoint": collector.endpoint, "headers": [header]})
        values: JsonObject = {"token": "Bearer of-the-file"}
        secret: JsonObject = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "collector"}}
        cluster.document = document
        cluster.save(document, {**secret, "stringData": values})
        await cluster.start()
        await cluster.wait_ready()
        async with subscribers(cluster) as groups, await cluster.api() as api:
            for group in groups:
                await all_subscribed(group)
            api.headers.update(SAMPLED)
            await api.publish(CHANNEL, "traced")
            await collector.wait_for(1, "POST /api/publish")
            [send] = await collector.wait_for(1, "send chat:{channel}")
            deliveries = await collector.wait_for(1, "deliver chat:{channel}")
    assert {span.trace for span in collector.spans} == {SAMPLED["traceparent"].split("-")[1]}
    assert {delivery.parent for delivery in deliveries} == {send.ident}
    assert {span.resource["service.name"] for span in collector.spans} == {"main"}
    assert {request["authorization"] for request in collector.headers} == {"Bearer of-the-file"}
