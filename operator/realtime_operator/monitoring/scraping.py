"""How Prometheus finds the pods, and which labels their series get."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.monitoring.scope import LABEL_CLUSTER, LABEL_NAMESPACE

OPERATOR_PORT = "http"
"""Name of the port of the operator's pods, in the chart."""


def meta_label(source: str) -> str:
    """Return Prometheus's name of a label from its service discovery."""
    return "__meta_kubernetes_" + "".join(letter if letter.isalnum() else "_" for letter in source)


SERVER_LABELS = {
    LABEL_CLUSTER: meta_label(f"pod_label_{naming.LABEL_CLUSTER}"),
    "realtime_revision": meta_label(f"pod_label_{naming.LABEL_REVISION}"),
    "instance": meta_label("pod_name"),
}
"""Labels of the servers' series by their source. A PodMonitor adds the namespace by itself."""


REDIS_LABELS = {LABEL_CLUSTER: SERVER_LABELS[LABEL_CLUSTER], "instance": meta_label("pod_name")}
"""Labels of the series of the managed Redis' exporter by their source."""


def scrape_configs() -> list[JsonObject]:
    """Return jobs for a Prometheus in the cluster that has no operator of its own."""
    servers = {naming.LABEL_NAME: naming.APPLICATION, naming.LABEL_COMPONENT: naming.COMPONENT_SERVER}
    redis = {naming.LABEL_NAME: naming.APPLICATION, naming.LABEL_COMPONENT: naming.COMPONENT_REDIS}
    operator = {naming.LABEL_NAME: naming.MANAGED_BY}
    namespace = {LABEL_NAMESPACE: meta_label("namespace")}
    return [
        {
            "job_name": "realtime-servers",
            "kubernetes_sd_configs": [{"role": "pod"}],
            "relabel_configs": [*_kept(servers, naming.PORT_NAME_ADMIN), *_added({**namespace, **SERVER_LABELS})],
        },
        {
            "job_name": "realtime-redis",
            "kubernetes_sd_configs": [{"role": "pod"}],
            "relabel_configs": [*_kept(redis, naming.PORT_NAME_EXPORTER), *_added({**namespace, **REDIS_LABELS})],
        },
        {
            "job_name": naming.MANAGED_BY,
            "honor_labels": True,
            "kubernetes_sd_configs": [{"role": "pod"}],
            "relabel_configs": [
                *_kept(operator, OPERATOR_PORT), *_added({**namespace, "instance": meta_label("pod_name")}),
            ],
        },
    ]  # fmt: skip


def _kept(labels: dict[str, str], port: str) -> list[JsonValue]:
    """Return rules that keep the port of the pods with these labels, unless they have ended, as evicted ones have."""
    wanted = {meta_label(f"pod_label_{name}"): value for name, value in labels.items()}
    wanted[meta_label("pod_container_port_name")] = port
    kept: list[JsonValue] = [
        {"action": "keep", "source_labels": [label], "regex": value} for label, value in wanted.items()
    ]
    return [*kept, {"action": "drop", "source_labels": [meta_label("pod_phase")], "regex": "Failed|Succeeded"}]


def _added(labels: dict[str, str]) -> list[JsonValue]:
    return [{"source_labels": [source], "target_label": target} for target, source in labels.items()]
