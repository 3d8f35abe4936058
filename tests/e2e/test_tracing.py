"""Scenario of traces that servers in pods export to a collector."""

from __future__ import annotations

import asyncio
import contextlib

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.component.tracing.test_traces import CALLER, SAMPLED, TRACE
from tests.kit.collector_pod import CollectorPod
from tests.kit.document import text_at
from tests.kit.installation import Images
from tests.kit.kube import name_of
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.live_cluster import LiveCluster
from tests.kit.raw_client import RawClient, raw_client
from tests.kit.running_cluster import manifest

CHANNEL = "chat:room"
UNSAMPLED = f"00-{'1' * 32}-{CALLER}-00"


async def test_a_publication_is_one_trace_of_two_pods(scenario: Scenario, images: Images) -> None:
    """The caller's trace goes on in all pods, whose names the spans have; what is not sampled is not exported."""
    collector, cluster = CollectorPod(scenario.kube, images.server), scenario.cluster()
    tracing = {"endpoint": collector.endpoint}
    await asyncio.gather(collector.start(), cluster.apply(manifest("main", replicas=2, tracing=tracing)))
    await cluster.wait_ready()
    pods = await cluster.available()
    async with contextlib.AsyncExitStack() as stack, await cluster.api() as api:
        clients = [await _subscriber(stack, cluster, pod) for pod in pods]
        for traceparent in (UNSAMPLED, SAMPLED):
            api.headers["traceparent"] = traceparent
            await api.publish(CHANNEL, {"traceparent": traceparent})
            assert [await client.publication() for client in clients] == [{"traceparent": traceparent}] * 2
        spans = await collector.wait_for(4)

    assert {span.trace for span in spans} == {TRACE}
    request, send, *deliveries = sorted(spans, key=lambda span: ("POST", "send", "deliver").index(span.name.split()[0]))
    assert (request.name, request.kind, request.parent) == ("POST /api/publish", "SERVER", CALLER)
    assert (send.name, send.kind, send.parent) == ("send chat:{channel}", "PRODUCER", request.ident)
    assert {(span.name, span.kind, span.parent) for span in deliveries} == {
        ("deliver chat:{channel}", "CONSUMER", send.ident)
    }
    assert sorted(str(span.resource["k8s.pod.name"]) for span in deliveries) == sorted(name_of(pod) for pod in pods)
    assert request.server == send.server
    revision = text_at(await cluster.get(), "status", "currentRevision")
    for span in spans:
        assert (span.resource["service.name"], span.resource["realtime.revision"]) == ("main", revision)
        assert span.resource["service.namespace"] == span.resource["k8s.namespace.name"] == scenario.kube.namespace
        assert span.resource["k8s.pod.name"] == span.server


async def _subscriber(stack: contextlib.AsyncExitStack, cluster: LiveCluster, pod: JsonObject) -> RawClient:
    host = text_at(pod, "status", "podIP")
    url = f"ws://{host}:{naming.PORT_CLIENT}/connection/websocket"
    client = await stack.enter_async_context(raw_client(url))
    await client.connect(await cluster.token("alice"))
    assert "subscribe" in await client.command(id=2, subscribe={"channel": CHANNEL})
    return client
