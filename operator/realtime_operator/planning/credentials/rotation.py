"""Rotation of the generated credentials without a gap. Pure.

Each credential has two values in the Secret, and servers accept both: the one that backends and the operator use, and
an alternate one. A rotation renews the alternate value, waits until all servers have read it, exchanges the two, waits
until nobody uses the former value any more, which is the alternate one now, and renews it. Between two steps the state
is in an annotation of the Secret, written together with the values: an operator that was killed continues there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, objects_at, text_at
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.credentials_secret import rotated_keys
from realtime_operator.planning.model.plan import RotateCredentials, RotationStep
from realtime_operator.planning.model.timestamps import timestamp
from realtime_operator.planning.model.world import ObjectKey, World

PROPAGATION = timedelta(minutes=3)
"""Time until every server has read a changed Secret: a kubelet updates files once a minute, from a cache as old."""
GRACE = timedelta(hours=24)
"""Time for which the former values are accepted after the exchange."""


class Phase(StrEnum):
    """The last step of a rotation that was carried out."""

    PREPARED = "Prepared"
    EXCHANGED = "Exchanged"
    FINISHED = "Finished"


@dataclass(frozen=True, slots=True)
class Rotation:
    """State of the rotation in a Secret: the request that it is for, and its last step."""

    request: str
    phase: Phase
    since: datetime

    def annotation(self) -> str:
        """Return the value of ANNOTATION_ROTATION."""
        return json.dumps({"request": self.request, "phase": self.phase.value, "since": timestamp(self.since)})


def read_rotation(secret: JsonObject | None) -> Rotation | None:
    """Return the state in a Secret; None without one, or when somebody has made it unreadable."""
    try:
        found = json.loads(text_at(secret or {}, "metadata", "annotations", naming.ANNOTATION_ROTATION))
        since = datetime.fromisoformat(found["since"])
        return Rotation(str(found["request"]), Phase(found["phase"]), since) if since.tzinfo else None
    except (ValueError, KeyError, TypeError):
        return None


def next_rotation(cluster: RealtimeCluster, world: World, now: datetime) -> RotateCredentials | None:
    """Return the step to carry out now; None when nothing is to be done, or not yet."""
    secret = _secret(cluster, world)
    if secret is None or not _has_both(cluster, world):
        return None
    request, found = requested(cluster), read_rotation(secret)
    if found is None or found.phase is Phase.FINISHED:
        wanted = request is not None and (found is None or found.request != request)
        if not wanted or request is None or not accept_both(cluster, world):
            return None
        return _step(cluster, secret, RotationStep.RENEW, Rotation(request, Phase.PREPARED, now))
    if found.phase is Phase.PREPARED and now - found.since >= PROPAGATION and accept_both(cluster, world):
        return _step(cluster, secret, RotationStep.EXCHANGE, Rotation(found.request, Phase.EXCHANGED, now))
    if found.phase is Phase.EXCHANGED and now - found.since >= GRACE:
        return _step(cluster, secret, RotationStep.RENEW, Rotation(found.request, Phase.FINISHED, now))
    return None


def describe(cluster: RealtimeCluster, world: World) -> str:
    """Return what is going on, for people; empty when no rotation is in progress."""
    secret, request = _secret(cluster, world), requested(cluster)
    found = read_rotation(secret)
    names = " and ".join(rotated_keys(cluster))
    where = f"Secret {naming.credentials_secret(cluster.metadata.name)}"
    if found is not None and found.phase is Phase.PREPARED:
        when = timestamp(found.since + PROPAGATION)
        return f"the servers read new values of {names}; {where} has them from {when} on"
    if found is not None and found.phase is Phase.EXCHANGED:
        when = timestamp(found.since + GRACE)
        return f"{names} of {where} are new since {timestamp(found.since)}; the former ones are accepted until {when}"
    if request is None or (found is not None and found.request == request) or accept_both(cluster, world):
        return ""
    return (
        "a rotation of the credentials waits until all servers answer and accept two values; servers of an earlier"
        " revision or release do not: `realtime rollout restart` makes new ones"
    )


def requested(cluster: RealtimeCluster) -> str | None:
    """Return the value of ANNOTATION_ROTATE; None when it is absent or empty."""
    return cluster.metadata.annotations.get(naming.ANNOTATION_ROTATE) or None


def accept_both(cluster: RealtimeCluster, world: World) -> bool:
    """Return True when all servers mount the alternate values, and are of a release that accepts them.

    Of the admin token the operator tries both values, so servers need none of it.
    """
    wanted = {naming.alternate(key) for key in rotated_keys(cluster) if key != naming.KEY_ADMIN_TOKEN}
    if naming.alternate(naming.KEY_API) in wanted and not all(
        server.report is not None and server.report.accepts_alternate_api_key for server in world.servers
    ):
        return False
    return all(
        wanted <= set(_mounted(live))
        for key, live in world.objects.items()
        if key.kind == "ReplicaSet" and dig(live, "spec", "replicas") != 0
    )


def _step(cluster: RealtimeCluster, secret: JsonObject, step: RotationStep, rotation: Rotation) -> RotateCredentials:
    return RotateCredentials(
        naming.credentials_secret(cluster.metadata.name),
        text_at(secret, "metadata", "uid"),
        text_at(secret, "metadata", "resourceVersion"),
        step,
        rotated_keys(cluster),
        rotation.annotation(),
    )


def _secret(cluster: RealtimeCluster, world: World) -> JsonObject | None:
    return world.objects.get(ObjectKey("v1", "Secret", naming.credentials_secret(cluster.metadata.name)))


def _has_both(cluster: RealtimeCluster, world: World) -> bool:
    present: Mapping[str, str] = world.secrets.get(naming.credentials_secret(cluster.metadata.name), {})
    return all(key in present and naming.alternate(key) in present for key in rotated_keys(cluster))


def _mounted(replica_set: JsonObject) -> Iterator[str]:
    """Yield the keys of Secrets that the pods mount in projected volumes."""
    for volume in objects_at(replica_set, "spec", "template", "spec", "volumes"):
        for source in objects_at(volume, "projected", "sources"):
            yield from (text_at(item, "key") for item in objects_at(source, "secret", "items"))
