"""Prometheus metrics of the operator."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


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
        self.api_requests = Counter(
            "realtime_operator_api_requests",
            "Requests to the API server, by verb and status.",
            ["verb", "code"],
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
        self.connections = Gauge(
            "realtime_operator_connections",
            "Connections of a cluster.",
            ["namespace", "cluster"],
            registry=self.registry,
        )
        self.draining_servers = Gauge(
            "realtime_operator_draining_servers",
            "Servers that are currently quiesced or draining.",
            ["namespace", "cluster"],
            registry=self.registry,
        )
