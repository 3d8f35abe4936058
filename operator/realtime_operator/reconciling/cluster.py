"""One turn of one cluster: observe, decide, apply."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime

import structlog

from realtime_operator.api.base import JsonObject
from realtime_operator.api.errors import InvalidCluster
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.errors import PlatformError
from realtime_operator.metrics import Metrics
from realtime_operator.planning.plan import Plan
from realtime_operator.planning.reconcile import reconcile, reject
from realtime_operator.planning.settings import PlanSettings
from realtime_operator.planning.world import World
from realtime_operator.platforms.base import Key, Platform
from realtime_operator.reconciling.work_queue import Turn

logger = structlog.get_logger()


class ClusterReconciler:
    """Does the turns of all clusters."""

    def __init__(self, platform: Platform, settings: PlanSettings, metrics: Metrics) -> None:
        self._platform = platform
        self._settings = settings
        self._metrics = metrics
        self._phases: dict[Key, str] = {}

    async def turn(self, key: Key) -> Turn:
        """One turn; never raises: what failed is logged, counted and tried again."""
        try:
            with self._metrics.reconcile_seconds.time():
                turn = await self._turn(key)
        except PlatformError as error:
            self._metrics.reconciles.labels("error").inc()
            logger.warning("reconcile failed", cluster=_name(key), kind=type(error).__name__, error=str(error))
            return Turn(failed=True)
        except Exception:
            # The edge: a defect in one cluster's handling must not end the others'.
            self._metrics.reconciles.labels("defect").inc()
            logger.exception("reconcile failed unexpectedly", cluster=_name(key))
            return Turn(failed=True)
        self._metrics.reconciles.labels("ok").inc()
        return turn

    async def _turn(self, key: Key) -> Turn:
        stored = await self._platform.read(key)
        if stored is None:
            self._forget(key)
            return Turn(gone=True)
        now = datetime.now(UTC)
        try:
            cluster = RealtimeCluster.from_object(stored)
        except InvalidCluster as error:
            plan = reject(_status_of(stored), _generation_of(stored), error.findings, now)
            self._set_phase(key, "Degraded")
            await self._platform.apply(stored, plan)
            return Turn(plan.look_again_seconds)
        world = await self._platform.observe(cluster)
        plan = reconcile(cluster, world, datetime.now(UTC), self._settings)
        self._note(key, cluster, world, plan)
        await self._platform.apply(stored, plan)
        return Turn(plan.look_again_seconds)

    def _note(self, key: Key, cluster: RealtimeCluster, world: World, plan: Plan) -> None:
        if plan.actions:
            kinds = Counter(type(action).__name__ for action in plan.actions)
            logger.info("reconcile", cluster=_name(key), actions=dict(kinds), look_again=plan.look_again_seconds)
        labels = (key.namespace, key.name)
        connections = sum(server.report.connections for server in world.servers if server.report)
        self._metrics.connections.labels(*labels).set(connections)
        self._metrics.draining_servers.labels(*labels).set(sum(not server.serving for server in world.servers))
        self._set_phase(key, (cluster.status.phase if cluster.status else None) or "Pending")

    def _forget(self, key: Key) -> None:
        if key in self._phases:
            self._set_phase(key, None)
            for gauge in (self._metrics.connections, self._metrics.draining_servers):
                gauge.remove(key.namespace, key.name)

    def _set_phase(self, key: Key, phase: str | None) -> None:
        before = self._phases.pop(key, None)
        if phase is not None:
            self._phases[key] = phase
        counts = Counter(self._phases.values())
        for name in {before, phase} - {None}:
            self._metrics.clusters.labels(name).set(counts[str(name)])


def _name(key: Key) -> str:
    return f"{key.namespace}/{key.name}"


def _status_of(stored: JsonObject) -> JsonObject:
    status = stored.get("status")
    return status if isinstance(status, dict) else {}


def _generation_of(stored: JsonObject) -> int:
    metadata = stored.get("metadata")
    generation = metadata.get("generation") if isinstance(metadata, dict) else None
    return generation if isinstance(generation, int) else 0
