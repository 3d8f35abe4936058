"""Forecast of a change of the spec: the revision, the moved connections, the rate, the duration. Pure.

It uses the numbers by which `rollout` would act now; later measurements change the real rollout.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.planning.decisions.canary import rolled_back
from realtime_operator.planning.decisions.policies import (
    PlannerSettings,
    autoscaling,
    canary_policy,
    desired_servers,
    rollout_policy,
)
from realtime_operator.planning.model.world import ObjectKey, Server
from realtime_operator.planning.moving import budget, preflight, rollout
from realtime_operator.planning.moving.fleet import Fleet, read_replica_sets
from realtime_operator.planning.moving.rollout import RolloutPolicy
from realtime_operator.planning.revisions import choice
from realtime_operator.planning.status.prior_status import read_status

NOTHING: Mapping[ObjectKey, JsonObject] = MappingProxyType({})
START_SECONDS = 2.0
"""Approximate seconds until a new server is ready."""


@dataclass(frozen=True, slots=True)
class Change:
    """A changed field of the spec: its path, and its values before and after; None when it is not set."""

    path: str
    before: JsonValue
    after: JsonValue


@dataclass(frozen=True, slots=True)
class ForecastStep:
    """Step of a canary: its share as written, that number of new servers, and the duration of its hold in seconds.

    `beside` is the number of servers of the current revision in it where a route gives the new ones their share of the
    new connections; None where that is the share of the servers.
    """

    share: str
    servers: int
    hold_seconds: int
    beside: int | None = None


@dataclass(frozen=True, slots=True)
class Forecast:
    """Effect of a change.

    `revision` is the one of the new spec, `is_new_revision` whether servers run another one and are replaced.
    `connections` are moved at `connections_per_second` at most, some of them more than once, in about `seconds`.
    `rejection` says why the operator would not move them, None when it would. `open_connections` are all, `room` is how
    many the servers may have then (`server.limits.connections` of each), None without a limit. `steps` are those of a
    canary; their holds are part of `seconds`. `servers_replaced` are the running ones of other revisions. `rolled_back`
    is the revision of the new spec when it has failed a gate, and is not tried again.
    """

    changes: tuple[Change, ...]
    revision: str
    is_new_revision: bool
    servers_before: int
    servers_after: int
    connections: int
    connections_per_second: float
    seconds: float
    rejection: str | None = None
    open_connections: int = 0
    room: int | None = None
    steps: tuple[ForecastStep, ...] = ()
    servers_replaced: int = 0
    rolled_back: str | None = None

    @property
    def replaces_servers(self) -> bool:
        """True when running servers are replaced."""
        return self.is_new_revision and self.servers_before > 0

    @property
    def starts_servers(self) -> bool:
        """True when a running cluster gets a server more, or another one."""
        return self.replaces_servers or self.servers_after > self.servers_before > 0


def forecast(
    old: RealtimeCluster | None,
    new: RealtimeCluster,
    servers: Sequence[Server],
    settings: PlannerSettings,
    replica_sets: Mapping[ObjectKey, JsonObject] = NOTHING,
) -> Forecast:
    """Forecast the change from `old` (None: the cluster is created), with these servers, to `new`.

    `replica_sets` are the existing ones: a revision that was made from the same spec before is kept.
    """
    stored = as_stored(old, new)
    prior = read_status(stored)
    failed = rolled_back(stored, prior)
    revision = choice.choose(stored, replica_sets, settings.build, failed).name
    # At once the autoscaler only adds servers; it removes them after the window.
    at_once = autoscaling(stored, prior.autoscaling, servers, datetime.min.replace(tzinfo=UTC))
    fleet = Fleet(revision, desired_servers(new, at_once), read_replica_sets(replica_sets), tuple(servers))
    policy = rollout_policy(new, fleet.desired)
    moving = rollout.retiring_servers(fleet)
    connections = preflight.connections_of(moving)
    steps = _steps(old, new, fleet)
    rate = budget.moving_rate(preflight.receiving(fleet, policy, moving), policy.drain) if connections else 0.0
    return Forecast(
        changes=tuple(_changes("spec", _spec_of(old), _spec_of(new))),
        revision=revision,
        is_new_revision=not fleet.live or any(server.revision != revision for server in fleet.live),
        servers_before=len(fleet.live),
        servers_after=fleet.desired,
        connections=connections,
        connections_per_second=rate,
        seconds=_seconds(fleet, policy, len(moving), _moves(fleet, policy, moving) / rate if rate else 0.0)
        + sum(step.hold_seconds for step in steps),
        rejection=preflight.why_impossible(fleet, policy, moving),
        open_connections=preflight.connections_of(fleet.live),
        room=preflight.room_of(fleet, policy),
        steps=steps,
        servers_replaced=len(fleet.live) - fleet.live_of(revision),
        rolled_back=None if failed is None or failed.tried == revision else failed.tried,
    )


def _steps(old: RealtimeCluster | None, new: RealtimeCluster, fleet: Fleet) -> tuple[ForecastStep, ...]:
    """Return the steps of the canary in which the change is rolled out; none where no other revision serves."""
    policy, spec = canary_policy(new), new.spec.rollout.canary
    current = old.status.current_revision if old is not None and old.status is not None else None
    if policy is None or spec is None or current in {None, fleet.target} or not fleet.live_of(current or ""):
        return ()
    limits = (policy.wanted(count, fleet.desired) for count in range(1, len(policy.steps) + 1))
    return tuple(
        ForecastStep(step.share, wanted.target, step.hold_seconds, wanted.kept if policy.by_route else None)
        for step, wanted in zip(spec.steps, limits, strict=True)
    )


def as_stored(old: RealtimeCluster | None, new: RealtimeCluster) -> RealtimeCluster:
    """Return the new cluster as it would be stored: with the current status, and the next generation if it differs."""
    if old is None:
        return new
    generation = old.metadata.generation + (new.spec != old.spec)
    metadata = new.metadata.model_copy(update={"generation": generation})
    return new.model_copy(update={"metadata": metadata, "status": old.status})


def _moves(fleet: Fleet, policy: RolloutPolicy, moving: Sequence[Server]) -> float:
    """Return the number of moves: connections that reach a server that is still to be replaced are moved again."""
    old = [server for server in moving if server.revision != fleet.target]
    receiving, at_once = max(1, fleet.desired - policy.max_unavailable), preflight.at_once(policy)
    moves, gained = float(preflight.connections_of(moving)), 0.0
    for begin in range(0, len(old), at_once):
        batch = old[begin : begin + at_once]
        moves += gained * len(batch)
        gained += (preflight.connections_of(batch) + gained * len(batch)) / receiving
    return moves


def _seconds(fleet: Fleet, policy: RolloutPolicy, moving: int, drain_seconds: float) -> float:
    if moving == 0:
        return START_SECONDS if fleet.desired > len(fleet.live) else 0.0
    batches = math.ceil(moving / preflight.at_once(policy))
    return round(batches * (START_SECONDS + policy.drain.settle_seconds) + drain_seconds, 1)


def _spec_of(cluster: RealtimeCluster | None) -> JsonObject:
    if cluster is None:
        return {}
    dumped: JsonObject = cluster.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    return dumped


def _changes(path: str, before: JsonValue, after: JsonValue) -> Iterator[Change]:
    """Yield the fields that differ; items of lists are matched by their name where they have one."""
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
