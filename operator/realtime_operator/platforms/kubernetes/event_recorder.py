"""Recording of Events about clusters; a repeated Event increases the count of the existing one."""

from __future__ import annotations

import time
from collections import OrderedDict
from datetime import UTC, datetime

import structlog

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, text_at
from realtime_operator.errors import ConflictError, NotFoundError, PlatformError
from realtime_operator.planning.model.plan import EmitEvent
from realtime_operator.platforms.kubernetes.client import KubernetesClient, path_of
from realtime_operator.platforms.kubernetes.event_correlator import MAX_REMEMBERED, CorrelatedEvent, EventCorrelator

logger = structlog.get_logger()


class EventRecorder:
    """Recorder of Events, one for the process. An Event that cannot be stored is logged; no error is raised."""

    def __init__(self, client: KubernetesClient) -> None:
        self._client = client
        self._correlator = EventCorrelator()
        self._counts: OrderedDict[str, int] = OrderedDict()

    async def record(self, owner: JsonObject, event: EmitEvent) -> None:
        """Record an Event about the stored RealtimeCluster `owner`."""
        namespace, name, uid = (text_at(owner, "metadata", field) for field in ("namespace", "name", "uid"))
        logger.info("event", cluster=f"{namespace}/{name}", reason=event.reason, message=event.message)
        correlated = self._correlator.correlate(name, uid, event, time.monotonic())
        path = path_of("v1", "Event", namespace, correlated.name)
        try:
            count = await self._count_up(path, correlated) or await self._create(path, owner, event, correlated)
        except PlatformError as error:
            logger.warning("event not written", error=str(error))
            return
        self._counts[path] = count
        if len(self._counts) > MAX_REMEMBERED:
            self._counts.popitem(last=False)

    async def _count_up(self, path: str, correlated: CorrelatedEvent) -> int | None:
        """Increase the count of an Event of this process; None when there is none, or when it has expired."""
        count = self._counts.pop(path, None)
        if count is None:
            return None
        try:
            return await self._patch(path, correlated, count + 1)
        except NotFoundError:
            return None

    async def _create(self, path: str, owner: JsonObject, event: EmitEvent, correlated: CorrelatedEvent) -> int:
        """Create an Event, or increase the count of the one that an earlier process has created."""
        namespace = text_at(owner, "metadata", "namespace")
        try:
            await self._client.create(path_of("v1", "Event", namespace), _document(owner, event, correlated))
        except ConflictError:
            count = dig(await self._client.get(path), "count")
            return await self._patch(path, correlated, (count if isinstance(count, int) else 1) + 1)
        return 1

    async def _patch(self, path: str, correlated: CorrelatedEvent, count: int) -> int:
        change: JsonObject = {"count": count, "lastTimestamp": _now(), "message": correlated.message}
        await self._client.patch(path, change)
        return count


def _document(owner: JsonObject, event: EmitEvent, correlated: CorrelatedEvent) -> JsonObject:
    namespace, name, uid = (text_at(owner, "metadata", field) for field in ("namespace", "name", "uid"))
    now = _now()
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": correlated.name, "namespace": namespace},
        "involvedObject": {
            "apiVersion": naming.API_VERSION,
            "kind": naming.KIND,
            "name": name,
            "namespace": namespace,
            "uid": uid,
        },
        "type": event.type.value,
        "reason": str(event.reason),
        "message": correlated.message,
        "source": {"component": naming.MANAGED_BY},
        "reportingComponent": naming.MANAGED_BY,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
