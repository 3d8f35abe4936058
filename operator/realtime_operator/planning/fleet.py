"""The servers of a cluster as a rollout sees them: those of the target revision, and all others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, text_at
from realtime_operator.planning.difference import revision_of
from realtime_operator.planning.world import ObjectKey, Server

UNREADY_GRACE = timedelta(seconds=60)
"""A server that has been ready may be so long without before that counts as more than a moment."""


@dataclass(frozen=True, slots=True)
class ReplicaSet:
    """The ReplicaSet of a revision as it was observed; `replicas` is the number of pods that it shall have."""

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
class Fleet:
    """The servers of a cluster, seen as target revision and old ones; `replica_sets` by revision."""

    target: str
    desired: int
    replica_sets: Mapping[str, ReplicaSet]
    servers: tuple[Server, ...]

    @property
    def replicas(self) -> Mapping[str, int]:
        """The wanted number of pods of each revision that has a ReplicaSet."""
        return {revision: replica_set.replicas for revision, replica_set in self.replica_sets.items()}

    @property
    def live(self) -> tuple[Server, ...]:
        """Servers that are neither going nor gone."""
        return tuple(server for server in self.servers if not server.terminating and not server.failed)

    @property
    def available(self) -> tuple[Server, ...]:
        """Servers that new connections can reach."""
        return tuple(server for server in self.live if server.ready and server.serving)

    @property
    def old_replicas(self) -> int:
        """Pods of all revisions but the target that exist and are wanted."""
        return sum(
            min(wanted, self.live_of(revision)) for revision, wanted in self.replicas.items() if revision != self.target
        )

    def live_of(self, revision: str) -> int:
        """Return the number of live servers of a revision."""
        return sum(1 for server in self.live if server.revision == revision)

    @property
    def target_replicas(self) -> int:
        """Wanted pods of the target revision, as it is now."""
        return self.replicas.get(self.target, 0)


def holds_nobody(server: Server, now: datetime) -> bool:
    """True when a server that is not ready holds no connection for sure, and none is on its way to it.

    Its container does not run, or it was never ready; or nobody has ever come; or nobody is there, and it has not been
    ready for long.
    """
    if server.report is None:
        return server.waiting_reason is not None or not server.was_ready
    if server.report.connections > 0:
        return False
    return server.report.seconds_since_last_accept is None or is_lost(server, now)


def is_lost(server: Server, now: datetime) -> bool:
    """True when a server has not been ready for longer than UNREADY_GRACE."""
    return not server.ready and server.unready_since is not None and now - server.unready_since >= UNREADY_GRACE


def just_lost(server: Server, now: datetime) -> bool:
    """True when a running server that people may be on has stopped being ready within UNREADY_GRACE."""
    if server.ready or not server.was_ready or server.unready_since is None:
        return False
    if server.waiting_reason is not None or is_lost(server, now):
        return False
    return not holds_nobody(server, now)
