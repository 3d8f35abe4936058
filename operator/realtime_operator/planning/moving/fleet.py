"""The servers of a cluster as a rollout sees them: those of the target revision, and all others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, text_at
from realtime_operator.planning.model.difference import revision_of
from realtime_operator.planning.model.world import ObjectKey, Server

UNREADY_GRACE = timedelta(seconds=60)
"""Time for which a server that was ready may be unready before it counts as lost."""


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """The observed ReplicaSet of a revision; `replicas` is its wanted number of pods."""

    name: str
    uid: str
    replicas: int


def read_replica_sets(objects: Mapping[ObjectKey, JsonObject]) -> dict[str, ReplicaSet]:
    """Return the ReplicaSets among live objects, by their revision."""
    found: dict[str, ReplicaSet] = {}
    for key, live in objects.items():
        revision = revision_of(live)
        if key.kind == "ReplicaSet" and revision is not None:
            replicas = dig(live, "spec", "replicas")
            count = replicas if isinstance(replicas, int) else 1
            found[revision] = ReplicaSet(key.name, text_at(live, "metadata", "uid"), count)
    return found


@dataclass(frozen=True, slots=True)
class CanaryLimits:
    """Limits of a rollout until its gates have passed: servers of the target at most, and old ones that stay at least.

    `current` is the revision to go back to: its servers are the last of the old ones to go. `spare` is the number of
    servers above the wanted number that both may have together.
    """

    current: str
    target: int
    kept: int
    spare: int = 0


@dataclass(frozen=True, slots=True)
class Fleet:
    """The servers of a cluster, by target and old revisions; `replica_sets` by revision.

    `limits` are None when the whole fleet may be replaced.
    `live` are those that are neither terminating nor failed, `available` those that new connections reach.
    """

    target: str
    desired: int
    replica_sets: Mapping[str, ReplicaSet]
    servers: tuple[Server, ...]
    limits: CanaryLimits | None = None
    live: tuple[Server, ...] = field(init=False, repr=False, compare=False)
    available: tuple[Server, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Select the servers once: a decision asks for them dozens of times, and there may be hundreds."""
        live = tuple(server for server in self.servers if not server.terminating and not server.failed)
        object.__setattr__(self, "live", live)
        object.__setattr__(self, "available", tuple(server for server in live if server.ready and server.serving))

    @property
    def replicas(self) -> Mapping[str, int]:
        """Wanted number of pods by revision."""
        return {revision: replica_set.replicas for revision, replica_set in self.replica_sets.items()}

    @property
    def old_replicas(self) -> int:
        """Number of wanted, existing pods of all revisions but the target."""
        return sum(
            min(wanted, self.live_of(revision)) for revision, wanted in self.replicas.items() if revision != self.target
        )

    def live_of(self, revision: str) -> int:
        """Return the number of live servers of a revision."""
        return sum(1 for server in self.live if server.revision == revision)

    @property
    def target_replicas(self) -> int:
        """Wanted number of pods of the target revision."""
        return self.replicas.get(self.target, 0)


def has_no_connections(server: Server, now: datetime) -> bool:
    """Return True when an unready server certainly has no connections, and none is arriving.

    Its container does not run, it was never ready, it has never accepted a connection, or it has none and was not ready
    for long.
    """
    if server.report is None:
        return server.waiting_reason is not None or not server.was_ready
    if server.report.connections > 0:
        return False
    return server.report.seconds_since_last_accept is None or is_lost(server, now)


def is_lost(server: Server, now: datetime) -> bool:
    """Return True when a server is not ready for UNREADY_GRACE or longer."""
    return not server.ready and server.unready_since is not None and now - server.unready_since >= UNREADY_GRACE


def just_lost(server: Server, now: datetime) -> bool:
    """Return True when a running server that may have clients became unready within UNREADY_GRACE."""
    if server.ready or not server.was_ready or server.unready_since is None:
        return False
    if server.waiting_reason is not None or is_lost(server, now):
        return False
    return not has_no_connections(server, now)
