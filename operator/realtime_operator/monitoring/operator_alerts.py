"""Alerts from the series of the operator: about its clusters, and about itself."""

from __future__ import annotations

from realtime_operator.monitoring.alert import ABOUT, Alert
from realtime_operator.monitoring.scope import BY_CLUSTER, ON_CLUSTER, Scope

STUCK_PART = 0.003
"""Part of the connections to move below which moves of ten minutes count as none: a rollout of more than two days."""
STUCK_FOR = "20m"
"""Time without moves, after the ten minutes that the expression looks back: longer than a server takes to start."""
BUDGET_PART = 0.1
"""Part of the budget below which it is not the budget that makes moves slow."""
EXHAUSTED_SECONDS = 3600
"""Duration of the moves at the current budget from which on it counts as exhausted."""
UNRECONCILED_SECONDS = 300


def cluster_alerts(of: Scope) -> tuple[Alert, ...]:
    """Return the alerts about the clusters of a scope."""
    return (*_moves(of), *_conditions(of))


def operator_alerts() -> tuple[Alert, ...]:
    """Return the alerts about the operator itself."""
    return (
        Alert(
            name="RealtimeOperatorNotLeading",
            severity="critical",
            lasting="2m",
            summary="No realtime-operator leads",
            description="RealtimeClusters are not cared for: rollouts, autoscaling and repairs have stopped.",
            runbook="operator-not-leading",
            expression="absent(realtime_operator_leader == 1)",
        ),
    )


def _moves(of: Scope) -> tuple[Alert, ...]:
    left = f"max {BY_CLUSTER} ({of('realtime_operator_connections_to_move')})"
    budget = f"max {BY_CLUSTER} ({of('realtime_operator_budget_connections_per_second')})"
    paused = of("realtime_operator_condition", 'type="Progressing"', 'reason=~"Paused|OperatorPaused"')
    return (
        Alert(
            name="RealtimeDrainStuck",
            severity="warning",
            lasting=STUCK_FOR,
            summary=f"Connections of {ABOUT} are not moved",
            description="{{ $value }} connections are to be moved. For half an hour, hardly any was.",
            runbook="drain-stuck",
            expression=f"{_unmoved(of)}\nunless {ON_CLUSTER} ({paused} == 1)",
        ),
        Alert(
            name="RealtimeBudgetExhausted",
            severity="warning",
            lasting="5m",
            summary=f"The budget of {ABOUT} is too small for its moves",
            description="{{ $value }} connections are to be moved. At the current budget that takes over an hour.",
            runbook="budget-exhausted",
            expression=f"{left} > 0\nand {left} > {EXHAUSTED_SECONDS} * {budget}\nunless {ON_CLUSTER} ({paused} == 1)",
        ),
    )


def _unmoved(of: Scope) -> str:
    """Return the number of connections to move where nearly none were moved within ten minutes.

    What counts is their part of all connections, which does not change when clients come and go everywhere. Averages
    over five minutes, since clients that reconnect are missing for a moment.
    """

    def average(metric: str, before: str = "") -> str:
        return f"max {BY_CLUSTER} (avg_over_time({of(metric)}[5m]{before}))"

    left, all_of_them = "realtime_operator_connections_to_move", "realtime_operator_connections"
    part = f"{average(left)} / {average(all_of_them)}"
    part_before = f"{average(left, ' offset 10m')} / {average(all_of_them, ' offset 10m')}"
    allowed = f"max {BY_CLUSTER} (avg_over_time({of('realtime_operator_budget_connections_per_second')}[10m]))"
    return (
        f"{average(left)} > 0\n"
        f"and {part} > {1 - STUCK_PART:g} * {part_before}\n"
        f"and ({part_before} - {part}) * {average(all_of_them)} <= {BUDGET_PART} * 600 * {allowed}"
    )


def _conditions(of: Scope) -> tuple[Alert, ...]:
    last = of("realtime_operator_last_reconcile_timestamp_seconds")
    degraded = of("realtime_operator_condition", 'type="Degraded"', 'status="True"')
    rejected = of("realtime_operator_condition", 'type="Accepted"', 'status="False"')
    lost = of("realtime_operator_condition", 'type="CredentialsKept"', 'status="False"')
    return (
        Alert(
            name="RealtimeNotReconciled",
            severity="critical",
            lasting="2m",
            summary=f"{ABOUT} is not reconciled",
            description="The last success was {{ $value | humanizeDuration }} ago: nothing is repaired or rolled out.",
            runbook="not-reconciled",
            expression=f"time() - max {BY_CLUSTER} ({last}) > {UNRECONCILED_SECONDS}",
        ),
        Alert(
            name="RealtimeClusterDegraded",
            severity="warning",
            lasting="10m",
            summary=f"{ABOUT} needs attention",
            description="Its condition Degraded is True, or its spec is invalid. The condition says why.",
            runbook="cluster-degraded",
            expression=f"max {BY_CLUSTER} ({degraded}) == 1\nor max {BY_CLUSTER} ({rejected}) == 1",
        ),
        Alert(
            name="RealtimeCredentialsReplaced",
            severity="warning",
            lasting="1m",
            summary=f"Generated credentials of {ABOUT} were replaced or are missing",
            description="Backends and tokens that use the former values are refused.",
            runbook="credentials-replaced",
            expression=f"max {BY_CLUSTER} ({lost}) == 1",
        ),
    )
