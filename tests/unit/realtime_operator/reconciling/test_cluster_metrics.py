"""Series of single clusters."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.metrics import Metrics
from realtime_operator.planning.model.world import World
from realtime_operator.platforms.base import Key
from realtime_operator.reconciling.cluster_metrics import ClusterMetrics

KEY = Key("team", "chat")
LABELS = {"namespace": "team", "realtime_cluster": "chat"}


def series(metrics: Metrics, name: str) -> dict[tuple[str, ...], float]:
    """Return the samples of a metric, by the values of the labels that do not name the cluster."""
    return {
        tuple(value for label, value in sample.labels.items() if label not in LABELS): sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == f"realtime_operator_{name}"
    }


def status(reason: str, **fields: object) -> JsonObject:
    """Return a status with one condition."""
    condition = {"type": "Degraded", "status": "True", "reason": reason, "message": ""}
    return {"phase": "Degraded", "conditions": [condition], **fields}  # type: ignore[list-item, dict-item] # JSON


def test_a_condition_has_one_series() -> None:
    """That of its current status and reason; an alert on the former one ends."""
    metrics = Metrics()
    of_clusters = ClusterMetrics(metrics)
    of_clusters.report(KEY, status("DrainTimedOut"))
    of_clusters.report(KEY, status("ServerNotReady"))
    assert series(metrics, "condition") == {("Degraded", "True", "ServerNotReady"): 1}
    assert series(metrics, "clusters") == {("Degraded",): 1}


def test_moves_of_a_rollout_are_counted_down() -> None:
    """Both are 0 when there is nothing to move."""
    metrics = Metrics()
    of_clusters = ClusterMetrics(metrics)
    rollout = {"connectionsToMove": 1200}
    of_clusters.report(KEY, status("AsExpected", rollout=rollout, budget={"connectionsPerSecond": 75.5}))
    assert series(metrics, "connections_to_move") == {(): 1200}
    assert series(metrics, "budget_connections_per_second") == {(): 75.5}
    assert series(metrics, "connections_owed") == {(): 0}
    of_clusters.report(KEY, status("AsExpected", budget={"connectionsPerSecond": 75.5, "owed": 30}))
    assert series(metrics, "connections_owed") == {(): 30}
    assert series(metrics, "connections_to_move") == {(): 0}
    assert series(metrics, "budget_connections_per_second") == {(): 0}


def test_slots_of_rollouts_are_counted_over_all_clusters() -> None:
    """Those that are used, and those that are waited for; a cluster that is gone counts no more."""
    metrics, other = Metrics(), Key("team", "other")
    of_clusters = ClusterMetrics(metrics)
    for key, state in ((KEY, "Held"), (other, "WaitingForSlot"), (Key("team", "third"), "WaitingForWindow")):
        of_clusters.report(key, status("AsExpected", rolloutSlot={"state": state}))
    assert series(metrics, "rollout_slots_used") == {(): 1}
    assert series(metrics, "rollouts_waiting") == {("slot",): 1, ("window",): 1}
    of_clusters.report(KEY, status("AsExpected", rolloutSlot={"state": "Released"}))
    of_clusters.forget(other)
    assert series(metrics, "rollout_slots_used") == {(): 0}
    assert series(metrics, "rollouts_waiting") == {("slot",): 0, ("window",): 1}


def test_a_cluster_that_never_succeeds_counts_from_its_first_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a series no alert would ever fire."""
    metrics, now = Metrics(), 1000.0
    of_clusters = ClusterMetrics(metrics)
    monkeypatch.setattr("realtime_operator.reconciling.cluster_metrics.time.time", lambda: now)
    of_clusters.attempt(KEY)
    now = 1060.0
    of_clusters.attempt(KEY)
    assert series(metrics, "last_reconcile_timestamp_seconds") == {(): 1000}
    of_clusters.succeed(KEY)
    assert series(metrics, "last_reconcile_timestamp_seconds") == {(): 1060}


def test_nothing_is_left_of_a_cluster_that_is_gone() -> None:
    """Also when it was invalid and never observed."""
    metrics = Metrics()
    of_clusters = ClusterMetrics(metrics)
    for key in (KEY, Key("team", "invalid")):
        of_clusters.attempt(key)
        of_clusters.report(key, status("AsExpected"))
    of_clusters.observe(KEY, World({}, ()))
    of_clusters.forget(KEY)
    of_clusters.forget(Key("team", "invalid"))
    of_clusters.forget(Key("team", "never seen"))
    labelled = [
        sample
        for family in metrics.registry.collect()
        for sample in family.samples
        if "realtime_cluster" in sample.labels
    ]
    assert labelled == []
    assert series(metrics, "clusters") == {("Degraded",): 0}
