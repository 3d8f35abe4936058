"""The ConfigMap with the Grafana dashboard of one cluster."""

from __future__ import annotations

import json

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.manifest import metadata, short_hash, with_applied_hash
from realtime_operator.monitoring import Scope, build_dashboard


def build_dashboard_config_map(cluster: RealtimeCluster) -> JsonObject:
    """Build it; a cluster without the spec has none. Each cluster has a dashboard of its own, with its own uid."""
    monitoring = cluster.spec.monitoring
    assert monitoring is not None
    name, namespace = cluster.metadata.name, cluster.metadata.namespace
    labels: dict[str, JsonValue] = {naming.LABEL_DASHBOARD: "1", **monitoring.dashboard.labels}
    annotations: dict[str, JsonValue] = {**monitoring.dashboard.annotations}
    uid = f"realtime-{short_hash([namespace, name])}"
    document = build_dashboard(uid, f"Realtime / {namespace} / {name}", Scope.of_cluster(namespace, name))
    return with_applied_hash(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata(
                cluster,
                naming.dashboard(name),
                naming.COMPONENT_SERVER,
                labels=labels,
                annotations=annotations,
            ),
            "data": {naming.dashboard_file(namespace, name): json.dumps(document, indent=1) + "\n"},
        }
    )
