"""Models of the part of the spec that makes objects for Prometheus and Grafana."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from realtime_operator.api import duration
from realtime_operator.api.base import Model, rule
from realtime_operator.api.fields import Annotations, Duration, Labels
from realtime_operator.api.v1alpha1_metadata import (
    RESERVED_ANNOTATIONS_MESSAGE,
    RESERVED_ANNOTATIONS_RULE,
    RESERVED_LABELS_MESSAGE,
    RESERVED_LABELS_RULE,
    is_reserved,
)


class Labelled(Model):
    """Object with labels by which other programs select it."""

    labels: Labels = Field(default_factory=dict)
    """Labels added to the object, by which the Prometheus of the monitoring stack selects it, like
    `release: prometheus`."""

    @rule(RESERVED_LABELS_RULE, RESERVED_LABELS_MESSAGE, field="labels")
    def _labels_are_free(self) -> bool:
        return not any(is_reserved(key) for key in self.labels)


class PodMonitor(Labelled):
    """PodMonitor of the servers, a kind of the Prometheus operator."""

    create: Literal["IfServed", "Always", "Never"] = "IfServed"
    """Creation of the object. With `IfServed` it is created where its CustomResourceDefinition is installed, and left
    out silently elsewhere; with `Always` a missing definition is reported in the condition Degraded."""
    interval: Duration = "30s"
    """Time between two scrapes."""

    @property
    def interval_seconds(self) -> int:
        """`interval` in seconds."""
        return duration.seconds(self.interval)


class PrometheusRule(Labelled):
    """PrometheusRule with the alerts about the cluster, a kind of the Prometheus operator."""

    create: Literal["IfServed", "Always", "Never"] = "IfServed"
    """Creation of the object. With `IfServed` it is created where its CustomResourceDefinition is installed, and left
    out silently elsewhere; with `Always` a missing definition is reported in the condition Degraded."""


class Dashboard(Labelled):
    """ConfigMap with the dashboard of the cluster, for Grafana."""

    create: Literal["Always", "Never"] = "Always"
    """Creation of the ConfigMap. It has the label `grafana_dashboard: "1"`, by which Grafana's sidecar finds it."""
    annotations: Annotations = Field(default_factory=dict)
    """Annotations added to the ConfigMap, like `grafana_folder: Realtime`."""

    @rule(RESERVED_ANNOTATIONS_RULE, RESERVED_ANNOTATIONS_MESSAGE, field="annotations")
    def _annotations_are_free(self) -> bool:
        return not any(key.startswith("realtime.dev/") for key in self.annotations)


class Monitoring(Model):
    """Objects for Prometheus and Grafana."""

    pod_monitor: PodMonitor = PodMonitor()
    """PodMonitor by which Prometheus scrapes the servers."""
    prometheus_rule: PrometheusRule = PrometheusRule()
    """PrometheusRule with alerts on symptoms of this cluster. Those on rollouts need the operator's metrics too."""
    dashboard: Dashboard = Dashboard()
    """ConfigMap with a Grafana dashboard of this cluster."""
