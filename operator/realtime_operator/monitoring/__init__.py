"""Alerts and dashboard, written once: for the objects of a RealtimeCluster, the chart, and files for any Prometheus.

Series about a cluster have the labels `namespace` and `realtime_cluster`; the PodMonitor adds them to those of servers.
"""

from __future__ import annotations

from realtime_operator.monitoring.alert import Alert, rule_group
from realtime_operator.monitoring.dashboard import build_dashboard
from realtime_operator.monitoring.operator_alerts import cluster_alerts as alerts_by_operator
from realtime_operator.monitoring.operator_alerts import operator_alerts
from realtime_operator.monitoring.scope import ALL, Scope
from realtime_operator.monitoring.server_alerts import server_alerts

__all__ = ["ALL", "Alert", "Scope", "build_dashboard", "cluster_alerts", "operator_alerts", "rule_group"]


def cluster_alerts(of: Scope) -> tuple[Alert, ...]:
    """Return all alerts about the clusters of a scope, from the series of servers and of the operator."""
    return (*server_alerts(of), *alerts_by_operator(of))
