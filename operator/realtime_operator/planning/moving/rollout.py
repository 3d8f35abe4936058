"""Replacement and removal of servers, one after another: quiesce, settle, drain, then remove exactly this pod.

The steps of one server's retirement, each observed before the next is taken, so that a successor goes on where its
predecessor stopped:

1. quiesce: the pod leaves the endpoints (`Quiesce`); its time is on the pod.
2. settle: no new connection has arrived for `settle_seconds`.
3. drain: the server moves its connections away at its part of the budget (`Drain`, see `drains`).
4. mark: nothing is left (or the drain's timeout has passed): lowest deletion cost (`SetDeletionCost`).
5. remove: the pod's ReplicaSet gets one replica less (`ScaleRevision`), once this pod is sure to be the one that goes:
   a ReplicaSet takes pods that are not ready before it looks at the deletion cost, and a drained server is not ready.

`model/` checks these steps in every order of events; its README says where each of them is here.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from realtime_operator.planning.model.plan import Action, DeleteServer, Quiesce, Resume, ScaleRevision, SetDeletionCost
from realtime_operator.planning.model.world import CANNOT_START, Server, ServerState
from realtime_operator.planning.moving import drains
from realtime_operator.planning.moving.brakes import NO_BRAKE, Brake
from realtime_operator.planning.moving.budget import Budget, DrainPolicy, next_budget
from realtime_operator.planning.moving.fleet import CanaryLimits, Fleet, has_no_connections, is_lost

RETIRED_DELETION_COST = -1000
"""Deletion cost of a drained pod: lower than that of all others, which have 0 unless edited."""


@dataclass(frozen=True, slots=True)
class RolloutPolicy:
    """`spec.rollout` with the percentages resolved to numbers of servers."""

    max_surge: int
    max_unavailable: int
    drain: DrainPolicy


@dataclass(frozen=True, slots=True)
class RolloutStep:
    """One step: the wanted number of pods of the target revision, and actions on servers and old revisions."""

    target_replicas: int
    actions: tuple[Action, ...]
    retiring: tuple[Server, ...]


def resolve_share(value: int | str, desired: int, *, round_up: bool) -> int:
    """Resolve a number or percentage of `desired`: surge is rounded up, unavailable down, as in a Deployment."""
    if isinstance(value, int):
        return value
    share = int(value.removesuffix("%")) * desired / 100
    return math.ceil(share) if round_up else math.floor(share)


def resolve_policy(max_surge: int | str, max_unavailable: int | str, desired: int, drain: DrainPolicy) -> RolloutPolicy:
    """Return the policy for a number of servers; when both shares are 0, one server may be unavailable."""
    surge = resolve_share(max_surge, desired, round_up=True)
    unavailable = resolve_share(max_unavailable, desired, round_up=False)
    return RolloutPolicy(surge, unavailable if surge or unavailable else 1, drain)


def next_step(
    fleet: Fleet,
    policy: RolloutPolicy,
    now: datetime,
    brake: Brake = NO_BRAKE,
    budget: Budget | None = None,
    known: Mapping[str, int] = drains.NOTHING_KNOWN,
) -> RolloutStep:
    """Return the next step towards `desired` servers of the target revision alone, within the limits of `brake`.

    `budget` is that of now; None: a new one. `known` are the servers' connections by an earlier status.
    """
    budget = budget or next_budget(fleet, policy.drain, None, 0, now, careful=brake.careful)
    retiring = retiring_servers(fleet)
    if brake.freeze:
        return RolloutStep(_target_replicas(fleet, policy, 0), (), retiring)
    names = {server.name for server in retiring}
    done = [server for server in retiring if _may_be_removed(server, policy.drain, now, brake)]
    back = _filled_again(fleet, retiring, done)
    in_place = _replaced_in_place(fleet, done)
    counted = [s for s in done if s not in in_place or s.revision == fleet.target]
    gone = Counter(s.revision for s in counted if _is_deleted_first(s, fleet) and s.revision not in back)
    # first, as calls to servers take time in which others may become unready
    actions = _scale_old(fleet, gone, policy.max_surge)
    actions += _put_back([server for server in fleet.live if server.name not in names])
    if brake.stop:
        actions += _halt(retiring)
        actions += drains.divide(fleet, (), policy.drain, budget, now, known)  # of pods that are being deleted
    else:
        actions += _quiesces(fleet, policy, retiring, now, brake)
        actions += drains.divide(fleet, retiring, policy.drain, budget, now, known)
    actions += drains.shares(fleet, budget)
    actions += [
        SetDeletionCost(server.name, server.uid, RETIRED_DELETION_COST)
        for server in done
        if server.deletion_cost != RETIRED_DELETION_COST
    ]
    actions += [SetDeletionCost(server.name, server.uid, 0) for servers in back.values() for server in servers]
    actions += [DeleteServer(server.name, server.uid) for server in in_place]
    return RolloutStep(_target_replicas(fleet, policy, gone[fleet.target]), tuple(actions), retiring)


def retiring_servers(fleet: Fleet) -> tuple[Server, ...]:
    """Return the servers to retire: of old revisions, requested by people, and surplus ones of the target.

    They are in the order of retirement.
    """
    old = [server for server in fleet.live if server.revision != fleet.target]
    target = [server for server in fleet.live if server.revision == fleet.target]
    requested = [server for server in target if server.drain_requested]
    others = sorted((server for server in target if not server.drain_requested), key=_retirement_order)
    surplus = max(0, len(target) - fleet.desired - len(requested))
    old.sort(
        key=lambda server: (
            fleet.limits is not None and server.revision == fleet.limits.current,
            *_retirement_order(server),
        )
    )
    if fleet.limits is not None:
        old = _beyond(old, fleet.limits.kept + len(requested))
    return (*old, *sorted(requested, key=_retirement_order), *others[:surplus])


def _beyond(old: Sequence[Server], kept: int) -> list[Server]:
    """Return the requested ones of ordered servers, and the first of the others but for `kept` of them."""
    others = sum(1 for server in old if not server.drain_requested)
    going: list[Server] = []
    for server in old:
        if server.drain_requested or others > kept:
            going.append(server)
            others -= not server.drain_requested
    return going


def _halt(retiring: Sequence[Server]) -> list[Action]:
    """Resume every server that was to leave and answers; those with the retired deletion cost are gone already."""
    return [
        Resume(server.name, server.uid, server.admin)
        for server in retiring
        if server.report is not None and server.deletion_cost != RETIRED_DELETION_COST and _held_back(server)
    ]


def _filled_again(fleet: Fleet, retiring: Sequence[Server], done: Sequence[Server]) -> dict[str, list[Server]]:
    """Return the servers that are marked to be removed and have connections again, by revision.

    A container that was not running when its pod was marked has started, and clients with its address have come. Until
    the mark is gone, the pod could be removed in place of one that is done. While a ReplicaSet has still to remove
    pods, the marks stay: it would take others.
    """
    names = {server.name for server in done}
    found: dict[str, list[Server]] = {}
    for server in retiring:
        if server.deletion_cost != RETIRED_DELETION_COST or server.name in names or server.report is None:
            continue
        if server.report.connections > 0 and fleet.live_of(server.revision) <= fleet.replicas.get(server.revision, 0):
            found.setdefault(server.revision, []).append(server)
    return found


def _put_back(staying: Sequence[Server]) -> list[Action]:
    """Resume servers that stay, and reset their deletion cost."""
    unmarked = [SetDeletionCost(s.name, s.uid, 0) for s in staying if s.deletion_cost == RETIRED_DELETION_COST]
    return [*unmarked, *(Resume(server.name, server.uid, server.admin) for server in staying if _held_back(server))]


def _held_back(server: Server) -> bool:
    """Return True for a server that should serve but is out of the endpoints or quiesced by its own report."""
    return not server.serving or (server.report is not None and server.report.state is not ServerState.SERVING)


def _retirement_order(server: Server) -> tuple[bool, bool, bool, int, float, str]:
    """Sort key: servers that are leaving, requested ones, unready ones, the fewest connections, the youngest."""
    connections = server.report.connections if server.report else 0
    return (
        server.serving,
        not server.drain_requested,
        server.ready,
        connections,
        -server.created_at.timestamp(),
        server.name,
    )


def _quiesces(
    fleet: Fleet, policy: RolloutPolicy, retiring: Sequence[Server], now: datetime, brake: Brake
) -> list[Action]:
    """Quiesce within the limit of unavailable servers, when earlier moved connections have arrived.

    An unready server is free to go only when it has no connections, or is lost and a new server is ready: a probe that
    fails everywhere at once must not empty the fleet. One that may come back must not be missed then: servers that
    restart or are replaced must not go one by one while the new revision does not start.
    """
    floor = fleet.desired - policy.max_unavailable
    available = len(fleet.available)
    staying = sum(1 for server in fleet.live if server.serving and _may_serve(server, fleet))
    leaving = sum(1 for server in retiring if not server.serving)
    actions: list[Action] = []
    for server in retiring:
        if not server.serving:
            continue
        if server.ready:
            if available <= floor or brake.unconfirmed:
                continue
            available -= 1
        elif staying <= floor and _may_serve(server, fleet):
            continue
        elif not has_no_connections(server, now):
            if not (is_lost(server, now) and _has_new(fleet)) or leaving >= max(1, policy.max_surge):
                continue
            leaving += 1
        staying -= int(_may_serve(server, fleet))
        actions.append(Quiesce(server.name, server.uid))
    return actions


def _may_serve(server: Server, fleet: Fleet) -> bool:
    """Return True for a server that is ready, and for one of an old revision that may become ready by itself."""
    if server.ready or server.revision == fleet.target:
        return server.ready
    return server.was_ready or server.waiting_reason not in CANNOT_START


def _has_new(fleet: Fleet) -> bool:
    return any(server.revision == fleet.target for server in fleet.available)


def _emptied(server: Server) -> bool:
    """Return True when a drain has finished and the server holds no connection."""
    return server.report is not None and server.report.state is ServerState.DRAINED


def timed_out(server: Server, policy: DrainPolicy, now: datetime) -> bool:
    """Return True when the time for the drain of a quiesced server is over."""
    if server.serving or server.quiesced_at is None:
        return False
    return (now - server.quiesced_at).total_seconds() >= policy.settle_seconds + policy.timeout_seconds


def _removable(server: Server, policy: DrainPolicy, now: datetime) -> bool:
    """Return True when removal loses nothing: never started, empty, or timed out (its preStop hook drains on)."""
    if server.serving:
        return False
    if server.report is None and not server.ready and server.waiting_reason is not None:
        return True
    if timed_out(server, policy, now):
        return True
    return _emptied(server)


def _may_be_removed(server: Server, policy: DrainPolicy, now: datetime, brake: Brake) -> bool:
    """Return True when a server is removable, and its moved connections have arrived or had their time."""
    if server.deletion_cost == RETIRED_DELETION_COST and not server.serving:
        return _removable(server, policy, now)
    if brake.stop or not _removable(server, policy, now):
        return False
    recent = server.report.recent if server.report is not None else None
    return not (brake.unconfirmed and recent is not None and recent.moved > 0)


def _is_deleted_first(server: Server, fleet: Fleet) -> bool:
    """Return True when the ReplicaSet controller is certain to delete this pod when scaled down by one.

    While this pod still counts as ready, the others must be ready and stay so until the controller acts: their probes
    succeed now, and several must fail before the kubelet says otherwise. A server that does not answer is not expected
    to become unready, nor are others asked for more than their condition then.
    """
    if server.deletion_cost != RETIRED_DELETION_COST or not server.ready:
        return server.deletion_cost == RETIRED_DELETION_COST
    others = [other for other in fleet.live if other.revision == server.revision and other.name != server.name]
    asked = server.report is not None
    return all(other.ready and (not asked or _passes_probe(other)) for other in others)


def _passes_probe(server: Server) -> bool:
    """Return True when the server's own report says that its readiness probe succeeds."""
    report = server.report
    return report is not None and report.state is ServerState.SERVING and report.backplane_healthy


def _lowered(wanted: int, live: int, gone: int) -> int:
    """Return the wanted number minus the servers that are done, each counted once.

    A removed pod stays visible for a moment after its ReplicaSet was scaled down, and must not scale it down again.
    """
    return wanted - max(0, gone - max(0, live - wanted))


def _scale_old(fleet: Fleet, gone: Counter[str], max_surge: int) -> list[Action]:
    """Scale old revisions down by the servers that are done; once the target is complete they get no replacements."""
    complete = sum(1 for server in fleet.available if server.revision == fleet.target) >= fleet.desired
    actions: list[Action] = []
    if fleet.limits is not None:
        actions += _restore_current(fleet, fleet.limits, max_surge)
    for revision, replica_set in sorted(fleet.replica_sets.items()):
        if revision == fleet.target:
            continue
        live = fleet.live_of(revision)
        replicas = _lowered(replica_set.replicas, live, gone[revision])
        if complete:
            replicas = min(replicas, live)
        if replicas < replica_set.replicas:
            actions.append(ScaleRevision(replica_set.name, replica_set.uid, replicas))
    return actions


def _restore_current(fleet: Fleet, limits: CanaryLimits, max_surge: int) -> list[Action]:
    """Scale the current revision up where it lacks servers that the limits leave to it, as when more are wanted.

    It has the replacements of old servers that were asked for, and for the time of their replacement those of new ones.
    """
    requested = Counter(server.revision == fleet.target for server in fleet.live if server.drain_requested)
    staying = sum(1 for s in fleet.live if s.revision != fleet.target and not s.drain_requested)
    spare = requested[True] + min(requested[False], max(0, limits.kept - staying))
    replica_set = fleet.replica_sets.get(limits.current)
    wanted = _wanted_current(fleet, limits) + min(spare, max_surge)
    if replica_set is None or replica_set.replicas >= wanted:
        return []
    return [ScaleRevision(replica_set.name, replica_set.uid, wanted)]


def _wanted_current(fleet: Fleet, limits: CanaryLimits) -> int:
    """Return the servers of the current revision beside those of the others: one at least, to go back to."""
    others = sum(count for revision, count in fleet.replicas.items() if revision not in {fleet.target, limits.current})
    return max(1, fleet.desired + limits.spare - limits.target - others)


def _replaced_in_place(fleet: Fleet, done: Sequence[Server]) -> list[Server]:
    """Return the requested servers to delete when they are done, as there is no surge: ReplicaSets replace them.

    Those of the current revision in a canary are the ones by which it must not be scaled down.
    """
    found: list[Server] = []
    if fleet.target_replicas <= fleet.desired:
        found += [server for server in done if server.drain_requested and server.revision == fleet.target]
    if fleet.limits is not None:
        mine = sorted((s for s in done if s.revision == fleet.limits.current), key=lambda s: s.drain_requested)
        beyond = max(0, fleet.replicas.get(fleet.limits.current, 0) - _wanted_current(fleet, fleet.limits))
        found += [server for server in mine[beyond:] if server.drain_requested]
    return found


def _target_replicas(fleet: Fleet, policy: RolloutPolicy, gone: int) -> int:
    """Return the wanted number of the target revision: up within the surge, down only by servers that are done."""
    now = fleet.target_replicas
    if now > fleet.desired:
        return max(fleet.desired, _lowered(now, fleet.live_of(fleet.target), gone))
    if not fleet.old_replicas and now == fleet.desired:
        requested = sum(1 for s in fleet.live if s.drain_requested and s.revision == fleet.target and s.serving)
        return now + min(requested, policy.max_surge)
    limits, surge, most = fleet.limits, policy.max_surge, fleet.desired
    if limits is not None:
        most = min(most, limits.target)
        surge = max(surge, limits.kept + most - fleet.desired)  # room for a server that stays beside all new ones
    return max(now, min(most, fleet.desired + surge - fleet.old_replicas))
