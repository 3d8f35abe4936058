"""Creates Events about clusters; the same one again within a while counts up the one that is there."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import text_at
from realtime_operator.errors import NotFoundError, PlatformError
from realtime_operator.planning.plan import EmitEvent
from realtime_operator.platforms.kubernetes.client import KubernetesClient, path_of

logger = structlog.get_logger()

SAME_SECONDS = 600.0
"""The same type, reason and message about the same cluster within so long is one Event."""
KEPT = 4096
"""Events that are remembered; the oldest are forgotten, and told anew."""
MESSAGE_CHARACTERS = 1024
"""What the API server takes as the message of an Event."""


@dataclass(slots=True)
class _Told:
    path: str
    count: int
    at: float


class EventRecorder:
    """One for the whole process. An Event that cannot be told is logged, and nothing fails for it."""

    def __init__(self, client: KubernetesClient) -> None:
        self._client = client
        self._told: OrderedDict[tuple[str, str, str, str], _Told] = OrderedDict()

    async def record(self, owner: JsonObject, event: EmitEvent) -> None:
        """Tell an Event about the stored RealtimeCluster `owner`."""
        namespace, name, uid = (text_at(owner, "metadata", field) for field in ("namespace", "name", "uid"))
        logger.info("event", cluster=f"{namespace}/{name}", reason=event.reason, message=event.message)
        message = event.message[:MESSAGE_CHARACTERS]
        key = (uid, event.type.value, event.reason, message)
        try:
            if not await self._count_up(key):
                path = await self._create(owner, event, message)
                self._told[key] = _Told(path, 1, time.monotonic())
        except PlatformError as error:
            logger.warning("event not told", error=str(error))
        while len(self._told) > KEPT:
            self._told.popitem(last=False)

    async def _count_up(self, key: tuple[str, str, str, str]) -> bool:
        told = self._told.pop(key, None)
        if told is None or time.monotonic() - told.at > SAME_SECONDS:
            return False
        try:
            await self._client.patch(told.path, {"count": told.count + 1, "lastTimestamp": _now()})
        except NotFoundError:
            return False
        self._told[key] = _Told(told.path, told.count + 1, time.monotonic())
        return True

    async def _create(self, owner: JsonObject, event: EmitEvent, message: str) -> str:
        namespace, name, uid = (text_at(owner, "metadata", field) for field in ("namespace", "name", "uid"))
        now = _now()
        document: JsonObject = {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"generateName": f"{name}.", "namespace": namespace},
            "involvedObject": {
                "apiVersion": naming.API_VERSION,
                "kind": naming.KIND,
                "name": name,
                "namespace": namespace,
                "uid": uid,
            },
            "type": event.type.value,
            "reason": str(event.reason),
            "message": message,
            "source": {"component": naming.MANAGED_BY},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        created = await self._client.create(path_of("v1", "Event", namespace), document)
        return path_of("v1", "Event", namespace, text_at(created, "metadata", "name"))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
