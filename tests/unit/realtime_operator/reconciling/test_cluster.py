"""Tests of one reconcile of one cluster, with its failures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import BuildSettings
from realtime_operator.errors import UnreachableError
from realtime_operator.metrics import Metrics
from realtime_operator.planning.decisions.policies import PlannerSettings
from realtime_operator.planning.model.plan import Action, EmitEvent, Failure, FailureKind, SetStatus
from realtime_operator.planning.model.world import World
from realtime_operator.platforms.base import Key
from realtime_operator.reconciling.cluster import OUTDATED_SECONDS, ClusterReconciler
from realtime_operator.reconciling.work_queue import ReconcileResult

KEY = Key("team", "chat")
SETTINGS = PlannerSettings(BuildSettings(server_image="localhost/server:1", redis_image="localhost/redis:1"))


@dataclass
class OneCluster:
    """A platform with one stored object. It notes what is applied; `failure` is raised by `observe`.

    With `fails` every action fails in this way, with `refuses` those of a kind are refused.
    """

    stored: JsonObject | None
    failure: Exception | None = None
    applied: list[tuple[Action, ...]] = field(default_factory=list)
    fails: FailureKind | None = None
    refuses: type[Action] | None = None

    async def read(self, key: Key) -> JsonObject | None:
        """Return the object."""
        assert key == KEY
        return self.stored

    def clusters(self) -> Sequence[tuple[JsonObject, Sequence[JsonObject]]]:
        """Return the object, without children."""
        return () if self.stored is None else ((self.stored, ()),)

    async def observe(self, cluster: RealtimeCluster) -> World:
        """Return an empty world, or raise `failure`."""
        assert cluster.metadata.name == KEY.name
        if self.failure is not None:
            raise self.failure
        return World({}, ())

    async def apply(self, owner: JsonObject, actions: Sequence[Action]) -> tuple[Failure, ...]:
        """Record the actions."""
        assert owner is self.stored
        self.applied.append(tuple(actions))
        if self.refuses is not None:
            return tuple(Failure(a, FailureKind.REFUSED, "no") for a in actions if isinstance(a, self.refuses))
        return tuple(Failure(action, self.fails, "no") for action in actions if self.fails)


def stored(**spec: object) -> JsonObject:
    """Return the object as the API server does."""
    metadata: JsonObject = {"name": KEY.name, "namespace": KEY.namespace, "uid": "uid-1", "generation": 3}
    return {"metadata": metadata, "spec": spec}  # type: ignore[dict-item] # fields of the spec


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Return a sample of the operator's metrics."""
    return metrics.registry.get_sample_value(name, labels)


async def result_of(platform: OneCluster) -> tuple[ReconcileResult, Metrics]:
    """Reconcile once; return the result and the metrics."""
    metrics = Metrics()
    return await ClusterReconciler(platform, SETTINGS, metrics).reconcile(KEY), metrics


async def test_a_plan_is_applied_and_counted() -> None:
    """The objects of a new cluster are created, and it is requeued soon."""
    platform = OneCluster(stored())
    result, metrics = await result_of(platform)
    assert platform.applied[0]
    assert [type(action) for action in platform.applied[1]][:1] == [SetStatus]
    assert result.requeue_after is not None
    assert value(metrics, "realtime_operator_reconcile_total", result="ok") == 1


async def test_a_cluster_that_is_gone_ends_its_work() -> None:
    """The task ends; the garbage collector deletes its objects."""
    platform = OneCluster(None)
    result, _ = await result_of(platform)
    assert result.gone
    assert platform.applied == []


async def test_a_platform_that_does_not_answer_is_tried_again() -> None:
    """The log has the reason, and no stack trace."""
    with capture_logs() as logs:
        result, metrics = await result_of(OneCluster(stored(), failure=UnreachableError("no answer in 10 s")))
    assert result.failed
    assert value(metrics, "realtime_operator_reconcile_total", result="error") == 1
    assert [(log["error"], "exc_info" in log) for log in logs] == [("no answer in 10 s", False)]


async def test_the_time_of_the_last_success_stands_while_a_cluster_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """An alert sees by it that a cluster is not cared for."""
    platform, metrics, now = OneCluster(stored()), Metrics(), 1000.0
    monkeypatch.setattr("realtime_operator.reconciling.cluster_metrics.time.time", lambda: now)
    reconciler = ClusterReconciler(platform, SETTINGS, metrics)
    labels = {"namespace": KEY.namespace, "realtime_cluster": KEY.name}
    for at, failure in ((1000.0, None), (1010.0, None), (1020.0, UnreachableError("no")), (1030.0, KeyError("x"))):
        now, platform.failure = at, failure
        await reconciler.reconcile(KEY)
    assert value(metrics, "realtime_operator_last_reconcile_timestamp_seconds", **labels) == 1010
    degraded = {"type": "Degraded", "status": "False", "reason": "AsExpected"}
    assert value(metrics, "realtime_operator_condition", **labels, **degraded) == 1


async def test_a_defect_in_one_cluster_is_no_end_of_the_operator() -> None:
    """The defect is counted separately from an API server that does not answer, for alerts."""
    with capture_logs() as logs:
        result, metrics = await result_of(OneCluster(stored(), failure=ZeroDivisionError()))
    assert result.failed
    assert value(metrics, "realtime_operator_reconcile_total", result="defect") == 1
    assert [log["log_level"] for log in logs] == ["error"]


async def test_an_object_that_cannot_be_read_is_refused_in_its_status() -> None:
    """An older CRD may have accepted it: nothing is changed, phase and metric report it."""
    platform = OneCluster(stored(replicas=-1))
    result, metrics = await result_of(platform)
    assert not result.failed
    status = next(action for action in platform.applied[0] if isinstance(action, SetStatus)).status
    assert status["phase"] == "Degraded"
    assert value(metrics, "realtime_operator_clusters", phase="Degraded") == 1


async def test_a_refused_write_is_a_condition_and_tried_again_after_a_pause() -> None:
    """The status reports it, and other actions of the cluster are not delayed."""
    platform = OneCluster(stored(), fails=FailureKind.REFUSED)
    result, _ = await result_of(platform)
    assert result.requeue_after is not None
    assert 0 < result.requeue_after <= 1
    status = next(action for action in platform.applied[1] if isinstance(action, SetStatus)).status
    conditions = {str(c["type"]): c for c in status["conditions"] if isinstance(c, dict)}  # type: ignore[union-attr] # a list
    assert conditions["Degraded"]["reason"] == "WriteRefused"
    assert "Secret chat-credentials was refused: no" in str(conditions["Degraded"]["message"])


async def test_what_has_changed_meanwhile_is_looked_at_again_at_once() -> None:
    """The change is neither a failure nor a condition; the next plan starts from the new state."""
    platform = OneCluster(stored(), fails=FailureKind.OUTDATED)
    result, _ = await result_of(platform)
    assert (result.failed, result.requeue_after) == (False, OUTDATED_SECONDS)


async def test_a_status_that_is_refused_is_gone_on_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is reported twice, nobody is moved, and the status is written as soon as possible."""
    platform = OneCluster(stored())
    reconciler = ClusterReconciler(platform, SETTINGS, Metrics())
    monkeypatch.setattr(platform, "refuses", SetStatus)
    await reconciler.reconcile(KEY)
    (first,) = [action for action in platform.applied[1] if isinstance(action, SetStatus)]
    (event,) = platform.applied[2]
    assert isinstance(event, EmitEvent)
    assert event.message == "the API server refused the status: no"
    platform.applied.clear()
    await reconciler.reconcile(KEY)
    assert [type(action) for action in platform.applied[1]] == [SetStatus]
    monkeypatch.setattr(platform, "refuses", None)
    await reconciler.reconcile(KEY)
    platform.applied.clear()
    platform.stored = {**stored(), "status": first.status}
    await reconciler.reconcile(KEY)
    assert not any(isinstance(action, SetStatus) for action in platform.applied[1])
