"""Prometheus with the discovery of pods, and the Prometheus operator, built once from their Go modules."""

from __future__ import annotations

from collections.abc import Callable

from tests.kit.cluster.layout import REPOSITORY, Layout
from tests.kit.cluster.programs import Program, find_go

PROMETHEUS_VERSION = "v0.315.1"
"""Version of the Go module, which is 3.15.1 of the program."""
OPERATOR_VERSION = "v0.85.0"
ONLY_KUBERNETES = "remove_all_sd,enable_kubernetes_sd"
"""Build tags: of all discoveries only that of Kubernetes, which Debian's Prometheus lacks."""


def prometheus(layout: Layout) -> Program:
    """Return Prometheus."""
    target = layout.cache / "bin" / f"prometheus-{PROMETHEUS_VERSION}" / "prometheus"
    package = "github.com/prometheus/prometheus/cmd/prometheus"
    return Program(REPOSITORY / "hack" / "prometheus", package, target, tags=ONLY_KUBERNETES)


def prometheus_operator(layout: Layout) -> Program:
    """Return the Prometheus operator."""
    target = layout.cache / "bin" / f"prometheus-operator-{OPERATOR_VERSION}" / "operator"
    package = "github.com/prometheus-operator/prometheus-operator/cmd/operator"
    return Program(REPOSITORY / "hack" / "prometheus-operator", package, target)


def programs(layout: Layout) -> tuple[Program, ...]:
    """Return the programs for tests/monitoring."""
    return prometheus(layout), prometheus_operator(layout)


def build_missing(layout: Layout, say: Callable[[str], None]) -> None:
    """Build the missing programs: some minutes on two cores."""
    for program in programs(layout):
        if not program.target.exists():
            say(f"building {program.target.name} of {program.module.name} (once per machine)")
            program.build(find_go(layout, say))
