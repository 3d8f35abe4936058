"""Scenario of the Prometheus operator: it accepts and selects the objects of a cluster and of the chart."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.monitoring import Scope, cluster_alerts, operator_alerts
from tests.kit.deadline import eventually
from tests.kit.document import text_at
from tests.kit.installation import Helm, Images
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.monitoring.prometheus import PrometheusProcess
from tests.kit.monitoring.prometheus_account import from_outside, kubeconfig_of_prometheus, remove
from tests.kit.monitoring.prometheus_operator import (
    SELECTED,
    generated_configuration,
    prometheus_object,
    running_operator,
)
from tests.kit.running_cluster import manifest

GENERATED_SECONDS, UP_SECONDS = 90, 90


@pytest.mark.parametrize("monitor", ["podMonitor", "serviceMonitor"])
async def test_the_prometheus_operator_scrapes_and_alerts(
    scenario: Scenario,
    helm: Helm,
    images: Images,
    prometheus_program: Path,
    prometheus_operator_program: Path,
    tmp_path: Path,
    monitor: str,
) -> None:
    """A Prometheus with what it has generated reaches every server and the operator, and evaluates all alerts."""
    kube, cluster = scenario.kube, scenario.cluster()
    labelled: JsonObject = {"enabled": True, "labels": {**SELECTED}}
    kubeconfig = await kubeconfig_of_prometheus(kube, tmp_path, endpoints=True)
    try:
        async with running_operator(kube, prometheus_operator_program), chart_with(helm, images, monitor, labelled):
            await kube.apply(prometheus_object(kube.namespace))
            shown = {"podMonitor": {"labels": SELECTED}, "prometheusRule": {"labels": SELECTED}}
            await cluster.apply(manifest("main", replicas=2, monitoring=shown))
            await cluster.wait_ready(within=120)
            jobs = {f"podMonitor/{kube.namespace}/main/0", f"{monitor}/{scenario.system.namespace}/realtime-operator/0"}
            configuration = await generated_configuration(kube, jobs, 2, tmp_path, GENERATED_SECONDS)
            outside = from_outside(configuration, kubeconfig)
            await scrape(scenario, PrometheusProcess(outside, program=prometheus_program))
    finally:
        await remove(kube)


@contextlib.asynccontextmanager
async def chart_with(helm: Helm, images: Images, monitor: str, settings: JsonObject) -> AsyncIterator[None]:
    """Install the chart with its objects for Prometheus, and take them away before their CRDs: Helm needs these."""
    helm.install(images, metrics={monitor: settings, "prometheusRule": settings})
    try:
        yield
    finally:
        helm.install(images)


async def scrape(scenario: Scenario, process: PrometheusProcess) -> None:
    """Check targets, labels and rules of a Prometheus."""
    namespace = scenario.kube.namespace
    servers = await scenario.kube.list("pods", f"{naming.LABEL_COMPONENT}={naming.COMPONENT_SERVER}")
    wanted = {("main", text_at(pod, "metadata", "name")) for pod in servers}
    async with process as prometheus:

        async def up() -> set[tuple[str, str]]:
            found = [one for one in await prometheus.targets() if one["health"] == "up"]
            return {
                (text_at(one, "labels", "realtime_cluster"), text_at(one, "labels", "instance"))
                if text_at(one, "labels", "realtime_cluster")
                else ("", text_at(one, "labels", "namespace"))
                for one in found
            }

        expected = {*wanted, ("", scenario.system.namespace)}
        await eventually(up, lambda found: found == expected, what=f"targets {expected}", within=UP_SECONDS)
        alerts = (*cluster_alerts(Scope.of_cluster(namespace, "main")), *operator_alerts())
        assert set(await prometheus.rules()) == {alert.name for alert in alerts}

        async def of_clusters() -> set[str]:
            return {series.labels["namespace"] for series in await prometheus.query("realtime_operator_connections")}

        await eventually(of_clusters, lambda found: found == {namespace}, what="series of clusters", within=UP_SECONDS)
        up_servers = await prometheus.query(f'realtime_server_backplane_healthy{{namespace="{namespace}"}}')
        assert {series.labels["realtime_cluster"] for series in up_servers} == {"main"}
