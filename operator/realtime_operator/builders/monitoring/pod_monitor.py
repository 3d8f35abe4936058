"""The PodMonitors: how Prometheus scrapes servers and Redis' exporter, and the labels that their series get."""

from __future__ import annotations

from collections.abc import Mapping

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.manifest import component_selector, metadata, with_applied_hash
from realtime_operator.monitoring.scraping import REDIS_LABELS, SERVER_LABELS


def build_pod_monitor(cluster: RealtimeCluster) -> JsonObject:
    """Build it over all server pods, also those that are not ready or drain; a cluster without the spec has none."""
    name = cluster.metadata.name
    return _build(cluster, name, naming.COMPONENT_SERVER, naming.PORT_NAME_ADMIN, SERVER_LABELS)


def build_redis_pod_monitor(cluster: RealtimeCluster) -> JsonObject | None:
    """Build it over the pods of the managed Redis; None when they have no exporter."""
    managed, name = cluster.spec.backplane.managed, naming.redis(cluster.metadata.name)
    if managed is None or managed.exporter is None:
        return None
    return _build(cluster, name, naming.COMPONENT_REDIS, naming.PORT_NAME_EXPORTER, REDIS_LABELS)


def _build(
    cluster: RealtimeCluster, name: str, component: str, port: str, series_labels: Mapping[str, str]
) -> JsonObject:
    monitoring = cluster.spec.monitoring
    assert monitoring is not None
    labels: dict[str, JsonValue] = {**monitoring.pod_monitor.labels}
    relabelings: list[JsonValue] = [
        {"action": "replace", "sourceLabels": [source], "targetLabel": target}
        for target, source in series_labels.items()
    ]
    endpoint: JsonObject = {
        "port": port,
        "path": "/metrics",
        "interval": f"{monitoring.pod_monitor.interval_seconds}s",
        "relabelings": relabelings,
    }
    return with_applied_hash(
        {
            "apiVersion": naming.MONITORING_API_VERSION,
            "kind": "PodMonitor",
            "metadata": metadata(cluster, name, component, labels=labels),
            "spec": {
                "selector": {"matchLabels": component_selector(cluster, component)},
                "podMetricsEndpoints": [endpoint],
            },
        }
    )
