"""The PodMonitor: how Prometheus scrapes the servers, and the labels that their series get."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.manifest import component_selector, metadata, with_applied_hash
from realtime_operator.monitoring.scraping import SERVER_LABELS


def build_pod_monitor(cluster: RealtimeCluster) -> JsonObject:
    """Build it over all server pods, also those that are not ready or drain; a cluster without the spec has none."""
    monitoring = cluster.spec.monitoring
    assert monitoring is not None
    labels: dict[str, JsonValue] = {**monitoring.pod_monitor.labels}
    relabelings: list[JsonValue] = [
        {"action": "replace", "sourceLabels": [source], "targetLabel": target}
        for target, source in SERVER_LABELS.items()
    ]
    endpoint: JsonObject = {
        "port": naming.PORT_NAME_ADMIN,
        "path": "/metrics",
        "interval": f"{monitoring.pod_monitor.interval_seconds}s",
        "relabelings": relabelings,
    }
    return with_applied_hash(
        {
            "apiVersion": naming.MONITORING_API_VERSION,
            "kind": "PodMonitor",
            "metadata": metadata(cluster, cluster.metadata.name, naming.COMPONENT_SERVER, labels=labels),
            "spec": {
                "selector": {"matchLabels": component_selector(cluster, naming.COMPONENT_SERVER)},
                "podMetricsEndpoints": [endpoint],
            },
        }
    )
