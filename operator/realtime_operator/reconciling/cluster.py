"""One reconcile of one cluster: observe, decide, apply, report."""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from realtime_operator.api.base import JsonObject
from realtime_operator.api.errors import InvalidCluster
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.errors import PlatformError
from realtime_operator.metrics import Metrics
from realtime_operator.planning.canary.span import Span
from realtime_operator.planning.decisions.policies import PlannerSettings
from realtime_operator.planning.model.plan import Action, Failure, FailureKind, SetStatus
from realtime_operator.planning.model.world import World
from realtime_operator.planning.reconcile import Decision, reconcile
from realtime_operator.planning.scheduling.slots import NO_ROLLOUT
from realtime_operator.planning.status.findings import about
from realtime_operator.planning.status.report import report, report_rejection
from realtime_operator.platforms.base import Key, Platform
from realtime_operator.reconciling.cluster_metrics import ClusterMetrics
from realtime_operator.reconciling.memory import ClusterMemory
from realtime_operator.reconciling.rollout_queue import RolloutQueue
from realtime_operator.reconciling.work_queue import ReconcileResult

logger = structlog.get_logger()

OUTDATED_SECONDS = 0.5
"""Seconds until the next reconcile after an object has changed during a write."""
UNWRITTEN_SECONDS = 5.0
"""Seconds until a refused status is written again."""


def _never() -> str | None:
    """Return None: the operator is not paused."""
    return None


class ClusterReconciler:
    """Reconciler of clusters, one per call. `paused` returns the reason of the operator's pause, or None."""

    def __init__(
        self, platform: Platform, settings: PlannerSettings, metrics: Metrics, paused: Callable[[], str | None] = _never
    ) -> None:
        self._platform = platform
        self._settings = settings
        self._metrics = metrics
        self._paused = paused
        self._cluster_metrics = ClusterMetrics(metrics)
        self._memories: dict[Key, ClusterMemory] = {}
        self._rollouts = RolloutQueue(platform.clusters)

    async def reconcile(self, key: Key) -> ReconcileResult:
        """Observe, decide, apply, report. Never raises: failures are logged, counted, and part of the result."""
        result = await self._try(key)
        self._rollouts.reconciled(key, failed=result.failed)
        if result.gone:
            self._forget(key)
        return result

    async def _try(self, key: Key) -> ReconcileResult:
        self._cluster_metrics.attempt(key)
        try:
            with self._metrics.reconcile_seconds.time():
                result = await self._reconcile(key)
        except PlatformError as error:
            self._lose_contact(key)
            self._metrics.reconciles.labels("error").inc()
            logger.warning("reconcile failed", cluster=_name(key), kind=type(error).__name__, error=str(error))
            return ReconcileResult(failed=True)
        except Exception:
            self._lose_contact(key)
            # Last resort: a defect in the handling of one cluster must not end that of others.
            self._metrics.reconciles.labels("defect").inc()
            logger.exception("reconcile failed unexpectedly", cluster=_name(key))
            return ReconcileResult(failed=True)
        self._metrics.reconciles.labels("ok").inc()
        if not result.gone and not result.failed:
            self._cluster_metrics.succeed(key)
        return result

    async def _reconcile(self, key: Key) -> ReconcileResult:
        stored = await self._platform.read(key)
        if stored is None:
            return ReconcileResult(gone=True)
        try:
            cluster = RealtimeCluster.from_object(stored)
        except InvalidCluster as error:
            self._rollouts.note(key, NO_ROLLOUT)
            rejection = report_rejection(_status_of(stored), _generation_of(stored), error.findings, datetime.now(UTC))
            self._cluster_metrics.report(key, _last_status(rejection) or _status_of(stored))
            return ReconcileResult(failed=bool(await self._platform.apply(stored, rejection)))
        return await self._carry_out(key, cluster, stored)

    async def _carry_out(self, key: Key, cluster: RealtimeCluster, stored: JsonObject) -> ReconcileResult:
        memory = self._memories.setdefault(key, ClusterMemory())
        cluster = memory.with_status(cluster)
        world = await self._observe(cluster, memory)
        decision = self._decide(key, cluster, world, memory.span)
        memory.span = decision.span
        failures = await self._apply(stored, decision, memory)
        reports = decision.rejection
        if decision.facts is not None:
            if decision.facts.gate_failed_now is not None:
                self._metrics.gate_failures.labels(decision.facts.gate_failed_now.value).inc()
            reports = report(cluster, world, decision.facts, decision.scaling, decision.actions, failures)
        failures = (*failures, *await self._report(stored, memory.with_unwritten(reports), memory))
        self._rollouts.stored(key)
        self._note(key, world, decision)
        self._cluster_metrics.report(key, _last_status(reports) or memory.unwritten or _status_of(stored))
        self._note_failures(key, failures)
        return ReconcileResult(_requeue_after(decision, failures, memory))

    def _decide(self, key: Key, cluster: RealtimeCluster, world: World, span: Span | None) -> Decision:
        """Decide about the cluster. Not a coroutine: no other decision comes between the slots and their use."""
        others = functools.partial(self._rollouts.others, key)
        decision = reconcile(cluster, world, datetime.now(UTC), self._effective_settings(), others, span)
        self._rollouts.note(key, decision.turn)
        return decision

    async def _observe(self, cluster: RealtimeCluster, memory: ClusterMemory) -> World:
        world = await self._platform.observe(cluster)
        own = memory.contact_since = memory.contact_since or datetime.now(UTC)
        contact_since = max(own, world.contact_since or own)
        return replace(world, contact_since=contact_since, status_refused=memory.status_refused)

    async def _apply(self, stored: JsonObject, decision: Decision, memory: ClusterMemory) -> tuple[Failure, ...]:
        now = time.monotonic()
        tried, waiting = memory.refusals.split(decision.actions, now)
        failures = await self._platform.apply(stored, tried)
        memory.refusals.note(decision.actions, tried, failures, now)
        return (*waiting, *failures)

    async def _report(
        self, stored: JsonObject, reports: Sequence[Action], memory: ClusterMemory
    ) -> tuple[Failure, ...]:
        failures = await self._platform.apply(stored, reports)
        event = memory.note_written(reports, failures)
        if event is not None:
            await self._platform.apply(stored, (event,))
        return failures

    def _lose_contact(self, key: Key) -> None:
        memory = self._memories.get(key)
        if memory is not None:
            memory.contact_since = None

    def _effective_settings(self) -> PlannerSettings:
        return replace(self._settings, paused=self._paused())

    def _note(self, key: Key, world: World, decision: Decision) -> None:
        if decision.actions:
            kinds = Counter(type(action).__name__ for action in decision.actions)
            logger.info("reconcile", cluster=_name(key), actions=dict(kinds), requeue_after=decision.requeue_after)
        self._cluster_metrics.observe(key, world)

    def _note_failures(self, key: Key, failures: Sequence[Failure]) -> None:
        for failure in failures:
            if failure.kind in {FailureKind.OUTDATED, FailureKind.SKIPPED}:
                logger.debug("not carried out", cluster=_name(key), about=about(failure.action), error=failure.message)
            else:
                logger.warning("refused", cluster=_name(key), about=about(failure.action), error=failure.message)

    def _forget(self, key: Key) -> None:
        self._memories.pop(key, None)
        self._cluster_metrics.forget(key)
        self._rollouts.forget(key)


def _requeue_after(decision: Decision, failures: Sequence[Failure], memory: ClusterMemory) -> float | None:
    """Return the seconds until the next reconcile, from the decision and from what was not carried out."""
    times = [decision.requeue_after, memory.refusals.seconds_until_retry(time.monotonic())]
    if any(failure.kind is FailureKind.OUTDATED for failure in failures):
        times.append(OUTDATED_SECONDS)
    if memory.unwritten is not None:
        times.append(UNWRITTEN_SECONDS)
    return min((seconds for seconds in times if seconds is not None), default=None)


def _last_status(reports: Sequence[Action]) -> JsonObject | None:
    """Return the status that is to be written; None when it stays as it is."""
    return next((action.status for action in reports if isinstance(action, SetStatus)), None)


def _name(key: Key) -> str:
    return f"{key.namespace}/{key.name}"


def _status_of(stored: JsonObject) -> JsonObject:
    status = stored.get("status")
    return status if isinstance(status, dict) else {}


def _generation_of(stored: JsonObject) -> int:
    metadata = stored.get("metadata")
    generation = metadata.get("generation") if isinstance(metadata, dict) else None
    return generation if isinstance(generation, int) else 0
