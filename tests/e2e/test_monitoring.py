"""Scenario of a Prometheus in the cluster, configured as monitoring/scrape.yaml says."""

from __future__ import annotations

import json
import time
from pathlib import Path

import yaml

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.monitoring import Scope
from realtime_operator.monitoring.panels import rows
from realtime_server import codes
from tests.kit.clients import Channel, ClientOptions, all_connected
from tests.kit.deadline import eventually
from tests.kit.document import object_at, objects_at, parse, text_at
from tests.kit.kube import Kube
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.live_cluster import LiveCluster
from tests.kit.monitoring.answers import Span, empty_queries
from tests.kit.monitoring.prometheus import PrometheusProcess
from tests.kit.monitoring.targets import Target, Targets, pod_targets
from tests.kit.raw_client import raw_client
from tests.kit.running_cluster import manifest
from tests.kit.sdk import JavaScriptClients

SCRAPE_SECONDS, RATE_SECONDS = 2, 20
SEEN_SECONDS = 90
FAULTS = {"limits"}
"""Panels that are empty while no client does anything wrong."""
SCRAPES = Path(__file__).parents[2] / "monitoring" / "scrape.yaml"


def configuration(scenario: Scenario, targets: Targets) -> JsonObject:
    """Return the jobs of the file with short intervals; the pods of the scenario and the operator's are found."""
    document = parse(json.dumps(yaml.safe_load(SCRAPES.read_text())))
    for kube in (scenario.kube, scenario.system):

        async def discover(kube: Kube = kube) -> list[Target]:
            return [target for pod in await kube.list("pods") for target in pod_targets(pod)]

        targets.add(discover)
    interval = f"{SCRAPE_SECONDS}s"
    times: JsonObject = {"scrape_interval": interval, "scrape_timeout": interval}
    return {**targets.discovered_by(objects_at(document, "scrape_configs")), "global": times}


async def test_the_dashboard_has_data(scenario: Scenario) -> None:
    """Every query that the ConfigMap of the resource has is answered during a rolling update."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=2, monitoring={}))
    await cluster.wait_ready()
    targets = Targets()
    async with targets.serving(), PrometheusProcess(configuration(scenario, targets)) as prometheus:
        await see_dashboard(scenario, cluster, prometheus)


async def see_dashboard(scenario: Scenario, cluster: LiveCluster, prometheus: PrometheusProcess) -> None:
    """Update a cluster `main` with clients, and wait until each query of its dashboard has data."""
    stored = await scenario.kube.get("configmaps", naming.dashboard("main"))
    assert stored is not None
    namespace = text_at(stored, "metadata", "namespace")
    (text,) = object_at(stored, "data").values()
    queries = {
        text_at(target, "expr")
        for panel in objects_at(parse(str(text)), "panels")
        for target in objects_at(panel, "targets")
    }
    panels = [panel for row in rows(Scope.of_cluster(namespace, "main")) for panel in row.panels]
    assert {query.expression for panel in panels for query in panel.queries} == queries
    shown = [panel for panel in panels if panel.name not in FAULTS]
    options = ClientOptions(
        endpoints=[await cluster.url()],
        count=10,
        channels=[Channel("chat:seen", recoverable=True)],
        tokens=[await cluster.token(f"user-{number}") for number in range(10)],
    )
    async with JavaScriptClients(options) as clients:
        await all_connected(clients, within=30)
        start = time.time()
        await cluster.patch(server={"heartbeat": {"interval": "24s"}})

        async def empty() -> list[str]:
            async with await cluster.api() as api, raw_client(await cluster.url()) as stranger:
                await api.publish("chat:seen", "something to show")
                await stranger.say('{"id": 1, "connect": {"token": "no token"}}')
                assert (await stranger.closed())[0] == codes.INVALID_TOKEN.code
            span = Span(start, time.time(), SCRAPE_SECONDS, RATE_SECONDS)
            return await empty_queries(prometheus, shown, span)

        await eventually(empty, lambda found: not found, what="data", within=SEEN_SECONDS, every=2)
        await cluster.wait_ready(within=60)
