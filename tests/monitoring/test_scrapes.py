"""Scenario of a Prometheus that discovers pods by itself, with the files of monitoring/."""

from __future__ import annotations

from pathlib import Path

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.monitoring import ALL, cluster_alerts, operator_alerts
from tests.e2e.test_monitoring import SCRAPE_SECONDS, SCRAPES, see_dashboard
from tests.kit.deadline import eventually
from tests.kit.document import dig, text_at
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.monitoring.prometheus import PrometheusProcess
from tests.kit.monitoring.prometheus_account import from_outside, kubeconfig_of_prometheus, read_yaml, remove
from tests.kit.monitoring.recording import metrics_of_alerts
from tests.kit.running_cluster import manifest

UP_SECONDS = 60
UNUSED = {"realtime_server_hook_breaker_open", "realtime_server_tls_certificate_expiry_timestamp_seconds"}
"""Metrics that only servers with hooks, and with a certificate, have."""


async def test_the_files_work_with_a_prometheus_in_kubernetes(
    scenario: Scenario, prometheus_program: Path, tmp_path: Path
) -> None:
    """It finds every server and the operator and nothing else, has the rules, and can answer what they ask."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=2, monitoring={"podMonitor": {"create": "Never"}}))
    await cluster.wait_ready()
    kubeconfig = await kubeconfig_of_prometheus(scenario.kube, tmp_path)
    rules = [str(path) for path in sorted(SCRAPES.parent.glob("*.rules.yaml"))]
    times: JsonObject = {"scrape_interval": f"{SCRAPE_SECONDS}s", "scrape_timeout": f"{SCRAPE_SECONDS}s"}
    document = from_outside(read_yaml(SCRAPES.read_text()), kubeconfig)
    prometheus = PrometheusProcess({**document, "global": times, "rule_files": [*rules]}, program=prometheus_program)
    try:
        async with prometheus:
            pods = await scenario.kube.list("pods", f"{naming.LABEL_COMPONENT}={naming.COMPONENT_SERVER}")
            operators = await scenario.system.list("pods", f"{naming.LABEL_NAME}={naming.MANAGED_BY}")
            wanted = {(text_at(pod, "metadata", "namespace"), text_at(pod, "metadata", "name")) for pod in pods}
            wanted |= {(scenario.system.namespace, text_at(pod, "metadata", "name")) for pod in operators}

            async def up() -> set[tuple[str, str]]:
                found = await prometheus.targets()
                return {
                    (text_at(one, "labels", "namespace"), text_at(one, "labels", "instance"))
                    for one in found
                    if one["health"] == "up"
                }

            await eventually(up, lambda found: found == wanted, what=f"targets {wanted}", within=UP_SECONDS)
            servers = [one for one in await prometheus.targets() if dig(one, "scrapePool") == "realtime-servers"]
            assert {text_at(one, "labels", "realtime_cluster") for one in servers} == {"main"}
            assert set(await prometheus.rules()) == {one.name for one in (*cluster_alerts(ALL), *operator_alerts())}
            await see_dashboard(scenario, cluster, prometheus)
            missing = {name for name in metrics_of_alerts() if not await prometheus.query(name)}
            assert missing <= UNUSED
            of_clusters = await prometheus.query("realtime_operator_connections")
            assert {series.labels["namespace"] for series in of_clusters} == {scenario.kube.namespace}
    finally:
        await remove(scenario.kube)
