"""Prometheus metrics of the operator."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

CLUSTER_LABELS = ("namespace", "realtime_cluster")
"""Labels of a series about one cluster; `cluster` is often the name of a whole Kubernetes."""


class Metrics:
    """The operator's Prometheus metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter(
            "realtime_operator_reconcile", "Reconciles, by result.", ["result"], registry=self.registry
        )
        self.reconcile_seconds = Histogram(
            "realtime_operator_reconcile_seconds", "Duration of a reconcile.", registry=self.registry
        )
        self.actions = Counter(
            "realtime_operator_actions", "Actions carried out, by kind.", ["kind"], registry=self.registry
        )
        self.gate_failures = Counter(
            "realtime_operator_gate_failures", "Gates that failed in canary steps.", ["gate"], registry=self.registry
        )
        self.api_requests = Counter(
            "realtime_operator_api_requests",
            "Requests to the API server, by verb and status.",
            ["verb", "code"],
            registry=self.registry,
        )
        self.evictions = Counter(
            "realtime_operator_evictions",
            "Requests to evict a pod, by answer: allowed, held, or not_judged, which lets the pod go.",
            ["answer"],
            registry=self.registry,
        )
        self.stale_seconds = Gauge(
            "realtime_operator_stale_seconds",
            "Seconds for which changes may have been missed; 0 while every watch is open and the API server answers.",
            registry=self.registry,
        )
        self.leader = Gauge("realtime_operator_leader", "1 while this process leads.", registry=self.registry)
        self.clusters = Gauge(
            "realtime_operator_clusters", "RealtimeClusters, by phase.", ["phase"], registry=self.registry
        )
        self.rollout_slots_used = Gauge(
            "realtime_operator_rollout_slots_used",
            "Clusters that are rolled, or will be next, and so keep the operator from beginning rollouts by itself.",
            registry=self.registry,
        )
        self.rollouts_waiting = Gauge(
            "realtime_operator_rollouts_waiting",
            "Clusters whose rollout to newer defaults of the operator waits, by what it waits for: slot or window.",
            ["reason"],
            registry=self.registry,
        )
        self.conditions = self._of_cluster(
            "condition", "1 for the current status and reason of each condition.", "type", "status", "reason"
        )
        self.last_reconcile = self._of_cluster(
            "last_reconcile_timestamp_seconds", "Unix time of the last reconcile that succeeded."
        )
        self.connections = self._of_cluster("connections", "Connections of a cluster.")
        self.draining_servers = self._of_cluster("draining_servers", "Servers that are currently quiesced or draining.")
        self.connections_to_move = self._of_cluster(
            "connections_to_move", "Connections on servers that are to be removed."
        )
        self.budget = self._of_cluster(
            "budget_connections_per_second", "Connections per second that may be moved; 0 when none are to be moved."
        )
        self.owed = self._of_cluster(
            "connections_owed", "Connections that reconnect without having been moved, and use up the budget first."
        )
        self.of_clusters = (
            self.last_reconcile, self.connections, self.draining_servers, self.connections_to_move, self.budget,
            self.owed,
        )  # fmt: skip
        """Gauges with one series per cluster."""

    def _of_cluster(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"realtime_operator_{name}", text, [*CLUSTER_LABELS, *labels], registry=self.registry)
