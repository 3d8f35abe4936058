"""What a change of the spec would do, before it is made: which revision, who moves, how fast, for about how long. Pure.

The numbers are those by which `rollout` would go on now; measurements that change meanwhile change them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.planning import budget, revisions
from realtime_operator.planning.reconcile import autoscaling, drain_policy, rollout_policy
from realtime_operator.planning.settings import PlanSettings
from realtime_operator.planning.world import ObjectKey, Server

NOTHING: Mapping[ObjectKey, JsonObject] = MappingProxyType({})
START_SECONDS = 2.0
"""Until a new server is ready, roughly."""


@dataclass(frozen=True, slots=True)
class Change:
    """One field of the spec: its path, and what it is before and after as it is written; None: not set."""

    path: str
    before: JsonValue
    after: JsonValue


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a change would do.

    `revision` is the one that the new spec asks for; `is_new_revision`: servers run another one, and are replaced.
    `connections` are moved, at most `connections_per_second` in the whole cluster, in about `seconds`.
    """

    changes: tuple[Change, ...]
    revision: str
    is_new_revision: bool
    servers_before: int
    servers_after: int
    connections: int
    connections_per_second: float
    seconds: float

    @property
    def replaces_servers(self) -> bool:
        """Whether running servers go and others take their place."""
        return self.is_new_revision and self.servers_before > 0


def forecast(
    old: RealtimeCluster | None,
    new: RealtimeCluster,
    servers: Sequence[Server],
    settings: PlanSettings,
    replica_sets: Mapping[ObjectKey, JsonObject] = NOTHING,
) -> Forecast:
    """What would happen if `old`, with these servers, became `new`; `old` None: it would be created.

    `replica_sets` are those that there are: a revision that was made of the same before is kept.
    """
    revision = revisions.choose(_stored(old, new), replica_sets, settings.build).name
    live = [server for server in servers if not server.terminating and not server.failed]
    old_ones = sorted((server for server in live if server.revision != revision), key=_connections)
    others = sorted((server for server in live if server.revision == revision), key=_connections)
    wanted = _wanted(old, new, servers)
    surplus = max(0, len(others) - wanted)
    moving = [*old_ones, *others[:surplus]]
    connections = sum(map(_connections, moving))
    rate = _rate(new, _receivers(new, old_ones, others[surplus:], wanted)) if connections else 0.0
    return Forecast(
        changes=tuple(_changes("spec", _spec_of(old), _spec_of(new))),
        revision=revision,
        is_new_revision=bool(old_ones) or not live,
        servers_before=len(live),
        servers_after=wanted,
        connections=connections,
        connections_per_second=rate,
        seconds=_seconds(new, len(live), wanted, len(moving), connections / rate if rate else 0.0),
    )


def _stored(old: RealtimeCluster | None, new: RealtimeCluster) -> RealtimeCluster:
    """The new cluster as it would be stored: with the status that there is, and the next generation if it differs."""
    if old is None:
        return new
    generation = old.metadata.generation + (new.spec != old.spec)
    metadata = new.metadata.model_copy(update={"generation": generation})
    return new.model_copy(update={"metadata": metadata, "status": old.status})


def _wanted(old: RealtimeCluster | None, new: RealtimeCluster, servers: Sequence[Server]) -> int:
    """As many as at once: fewer than there are the autoscaler wants only after a while."""
    scaling = autoscaling(_stored(old, new), servers, datetime.min.replace(tzinfo=UTC))
    return new.spec.replicas if scaling is None else scaling.desired


def _connections(server: Server) -> int:
    return server.report.connections if server.report is not None else 0


def _rate(cluster: RealtimeCluster, receivers: Sequence[Server]) -> float:
    """The budget with these servers behind the endpoint; where none stays, waiting would not help anybody."""
    policy = drain_policy(cluster)
    return budget.connections_per_second(policy, receivers) or policy.connections_per_second or budget.UNMEASURED_RATE


def _receivers(
    cluster: RealtimeCluster, old_ones: Sequence[Server], others: Sequence[Server], wanted: int
) -> list[Server]:
    """The servers behind the endpoint while connections move: those that stay for now, and new ones.

    `old_ones` in the order in which they go. New ones begin carefully, and are trusted with more once they have
    measured that they can, as others have before.
    """
    if not old_ones:
        return list(others)
    staying = [*others, *reversed(old_ones[_step(cluster, wanted) :])]
    available = max(0, wanted - rollout_policy(cluster, wanted).max_unavailable)
    measured = max((*old_ones, *others), key=budget.accept_rate)
    fresh = replace(old_ones[0], report=measured.report)
    return [*staying, *[fresh] * (available - len(staying))][:available]


def _step(cluster: RealtimeCluster, wanted: int) -> int:
    """How many servers are replaced at a time."""
    policy = rollout_policy(cluster, wanted)
    return max(1, policy.max_surge + policy.max_unavailable)


def _seconds(cluster: RealtimeCluster, before: int, after: int, moving: int, drain_seconds: float) -> float:
    if moving == 0:
        return START_SECONDS if after > before else 0.0
    batches = math.ceil(moving / _step(cluster, max(1, after)))
    return round(batches * (START_SECONDS + cluster.spec.rollout.drain.settle_seconds) + drain_seconds, 1)


def _spec_of(cluster: RealtimeCluster | None) -> JsonObject:
    if cluster is None:
        return {}
    dumped: JsonObject = cluster.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return dumped


def _changes(path: str, before: JsonValue, after: JsonValue) -> Iterator[Change]:
    """The fields that differ; items of lists are known by their name where they have one."""
    if before == after:
        return
    left, right = _by_key(before), _by_key(after)
    if left is None or right is None:
        yield Change(path, before, after)
        return
    keys = dict.fromkeys((*left, *right))
    found = [change for key in keys for change in _changes(f"{path}{key}", left.get(key), right.get(key))]
    yield from found or [Change(path, before, after)]  # items of a list in another order


def _by_key(value: JsonValue) -> dict[str, JsonValue] | None:
    if value is None:
        return None
    if isinstance(value, dict):
        return {f".{key}": item for key, item in value.items()}
    if isinstance(value, list) and all(isinstance(item, dict) and "name" in item for item in value):
        return {f"[{item['name']}]": item for item in value if isinstance(item, dict)}
    return None
