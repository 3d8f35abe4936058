"""What a change of the spec would do, before it is made: which revision, who moves, how fast, for about how long. Pure.

The numbers are those by which `rollout` would go on now; measurements that change meanwhile change them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from realtime_operator import builders
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.planning import budget, rollout
from realtime_operator.planning.budget import DrainPolicy
from realtime_operator.planning.settings import PlanSettings
from realtime_operator.planning.world import Server

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

    `revision` is the one that the new spec asks for; `is_new_revision`: servers run another one, so all are replaced.
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
    old: RealtimeCluster | None, new: RealtimeCluster, servers: Sequence[Server], settings: PlanSettings
) -> Forecast:
    """What would happen if `old`, with these servers, became `new`; `old` None: it would be created."""
    revision = builders.build_revision(new, settings.build).name
    live = [server for server in servers if not server.terminating and not server.failed]
    is_new = any(server.revision != revision for server in live)
    wanted = _wanted(new, len(live))
    moving = live if is_new else sorted(live, key=_connections)[: max(0, len(live) - wanted)]
    connections = sum(map(_connections, moving))
    policy = _drain_policy(new)
    rate = budget.connections_per_second(policy, _receivers(new, live, wanted, is_new=is_new)) if connections else 0.0
    return Forecast(
        changes=tuple(_changes("spec", _spec_of(old), _spec_of(new))),
        revision=revision,
        is_new_revision=is_new or not live,
        servers_before=len(live),
        servers_after=wanted,
        connections=connections,
        connections_per_second=rate,
        seconds=_seconds(new, len(live), wanted, len(moving), connections / rate if rate else 0.0),
    )


def _wanted(cluster: RealtimeCluster, now: int) -> int:
    scaling = cluster.spec.autoscaling
    if scaling is None:
        return cluster.spec.replicas
    return max(scaling.min_replicas, min(scaling.max_replicas, now or scaling.min_replicas))


def _connections(server: Server) -> int:
    return server.report.connections if server.report is not None else 0


def _drain_policy(cluster: RealtimeCluster) -> DrainPolicy:
    drain = cluster.spec.rollout.drain
    return DrainPolicy(drain.fixed_rate, drain.timeout_seconds, drain.settle_seconds)


def _receivers(cluster: RealtimeCluster, live: Sequence[Server], wanted: int, *, is_new: bool) -> list[Server]:
    """The servers behind the endpoint while connections move: those that stay, and new ones.

    New ones begin carefully, and are trusted with more once they have measured that they can, as others have before.
    """
    if not live:
        return []
    if not is_new:
        return sorted(live, key=_connections)[max(0, len(live) - wanted) :] or list(live[:1])
    measured = max(live, key=budget.accept_rate)
    fresh = replace(live[0], report=measured.report)
    step = _step(cluster, wanted)
    return [fresh] * min(step, wanted) + list(live[: max(0, wanted - step)])


def _step(cluster: RealtimeCluster, wanted: int) -> int:
    """How many servers are replaced at a time."""
    share = cluster.spec.rollout
    policy = rollout.resolve_policy(share.max_surge, share.max_unavailable, wanted, _drain_policy(cluster))
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
    for key in dict.fromkeys((*left, *right)):
        yield from _changes(f"{path}{key}", left.get(key), right.get(key))


def _by_key(value: JsonValue) -> dict[str, JsonValue] | None:
    if value is None:
        return None
    if isinstance(value, dict):
        return {f".{key}": item for key, item in value.items()}
    if isinstance(value, list) and all(isinstance(item, dict) and "name" in item for item in value):
        return {f"[{item['name']}]": item for item in value if isinstance(item, dict)}
    return None
