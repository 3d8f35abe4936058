"""Alerts from the series of the operator: about its clusters, and about itself."""

from __future__ import annotations

from realtime_operator.monitoring.alert import ABOUT, Alert
from realtime_operator.monitoring.scope import BY_CLUSTER, ON_CLUSTER, Scope

STUCK_PART = 0.05
"""Part of the connections below which moves of ten minutes count as none."""
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
    before = f"(max {BY_CLUSTER} ({of('realtime_operator_connections_to_move')} offset 10m) > 0)"
    budget = f"max {BY_CLUSTER} ({of('realtime_operator_budget_connections_per_second')})"
    allowed = f"max {BY_CLUSTER} (avg_over_time({of('realtime_operator_budget_connections_per_second')}[10m]))"
    paused = of("realtime_operator_condition", 'type="Progressing"', 'reason=~"Paused|OperatorPaused"')
    return (
        Alert(
            name="RealtimeDrainStuck",
            severity="warning",
            lasting="2m",
            summary=f"Connections of {ABOUT} are not moved",
            description="{{ $value }} connections wait on servers that are to be removed; their number does not fall.",
            runbook="drain-stuck",
            expression=(
                f"{left} > 0\n"
                f"and {before} - {left} < {STUCK_PART} * {before}\n"
                f"and {before} - {left} <= {BUDGET_PART} * 600 * {allowed}\n"
                f"unless {ON_CLUSTER} ({paused} == 1)"
            ),
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
