"""The NetworkPolicy of the managed Redis: the cluster's servers connect to it, and it connects to nothing.

With failover its pods connect to each other, by names.
"""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.manifest import component_selector, metadata, with_applied_hash
from realtime_operator.builders.network_policy import peers_of, redis_ports, tcp


def build_redis_network_policy(cluster: RealtimeCluster) -> JsonObject | None:
    """Build the policy, for the trial pod of a changed Redis too; None without a restriction or a managed Redis."""
    managed = cluster.spec.backplane.managed
    if cluster.spec.network_policy.mode == "None" or managed is None:
        return None
    servers: JsonObject = {"podSelector": {"matchLabels": component_selector(cluster, naming.COMPONENT_SERVER)}}
    scrapers = peers_of(cluster.spec.network_policy.admin_from)
    nodes: list[JsonValue] = [_nodes(cluster)] if cluster.spec.backplane.has_failover else []
    components: JsonObject = {
        "key": naming.LABEL_COMPONENT,
        "operator": "In",
        "values": [naming.COMPONENT_REDIS, naming.COMPONENT_REDIS_TRIAL],
    }
    return with_applied_hash(
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "NetworkPolicy",
            "metadata": metadata(cluster, naming.redis(cluster.metadata.name), naming.COMPONENT_REDIS),
            "spec": {
                "podSelector": {
                    "matchLabels": {naming.LABEL_CLUSTER: cluster.metadata.name},
                    "matchExpressions": [components],
                },
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [
                    {"from": [servers, *nodes], "ports": redis_ports()},
                    *([_metrics(scrapers)] if scrapers and managed.exporter is not None else []),
                ],
                **({"egress": _egress(nodes)} if nodes else {}),
            },
        }
    )


def _nodes(cluster: RealtimeCluster) -> JsonObject:
    return {"podSelector": {"matchLabels": component_selector(cluster, naming.COMPONENT_REDIS)}}


def _metrics(scrapers: list[JsonValue]) -> JsonObject:
    """Return the rule for the exporter: it is read by those who read the metrics of servers."""
    return {"from": scrapers, "ports": [tcp(naming.PORT_EXPORTER)]}


def _egress(nodes: list[JsonValue]) -> list[JsonValue]:
    return [
        {"ports": [{"port": naming.PORT_DNS, "protocol": "UDP"}, tcp(naming.PORT_DNS)]},
        {"to": nodes, "ports": redis_ports()},
    ]
