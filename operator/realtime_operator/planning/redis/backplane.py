"""State of the link between the servers, from the managed Redis and the servers' reports."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from realtime_operator import naming
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.planning.model.reasons import Reason
from realtime_operator.planning.model.world import ObjectKey, Server, World

CONNECTING = timedelta(seconds=30)
"""Age up to which a new server that is not linked does not count, as it serves no clients yet."""


@dataclass(frozen=True, slots=True)
class Backplane:
    """State of the link between the servers; `ready` is None when nothing has been measured yet."""

    ready: bool | None
    reason: Reason
    message: str


def observe_backplane(cluster: RealtimeCluster, world: World, now: datetime) -> Backplane:
    """Judge the link by the servers' reports; before any has reported, by the managed Redis' own readiness."""
    reports = {
        server.name: server.report
        for server in world.servers
        if server.report is not None and not server.terminating and not _connecting(server, now)
    }
    cut = [name for name, report in reports.items() if not report.backplane_healthy]
    if cut:
        others = f" (and {len(cut) - 1} more)" if len(cut) > 1 else ""
        return Backplane(ready=False, reason=Reason.DISCONNECTED, message=f"server {cut[0]}{others} cannot reach Redis")
    if cluster.spec.backplane.redis.external is None and not _managed_ready(cluster, world):
        return Backplane(ready=False, reason=Reason.STARTING, message="the managed Redis is not ready yet")
    if not reports:
        return Backplane(ready=None, reason=Reason.NOT_MEASURED, message="no server has reported its state yet")
    return Backplane(ready=True, reason=Reason.CONNECTED, message="every server reaches Redis")


def _connecting(server: Server, now: datetime) -> bool:
    cut = server.report is not None and not server.report.backplane_healthy
    return cut and not server.ready and now - server.created_at < CONNECTING


def _managed_ready(cluster: RealtimeCluster, world: World) -> bool:
    key = ObjectKey("apps/v1", "StatefulSet", naming.redis(cluster.metadata.name))
    status = world.objects.get(key, {}).get("status")
    ready = status.get("readyReplicas") if isinstance(status, dict) else None
    return isinstance(ready, int) and ready > 0
