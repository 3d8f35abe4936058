"""Preflight: whether the servers that stay can take the connections of those that go. Pure.

It is known before anything moves from the spec and the servers' reports. Whether a new server can be scheduled is found
out by starting it first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from realtime_operator.planning.model.world import Server
from realtime_operator.planning.moving import budget
from realtime_operator.planning.moving.fleet import Fleet
from realtime_operator.planning.moving.rollout import RolloutPolicy


def why_impossible(fleet: Fleet, policy: RolloutPolicy, retiring: Sequence[Server]) -> str | None:
    """Return why these servers cannot be emptied; None when they can be, or when no server is wanted any more.

    A plan under way is judged by its room only: the time of a drain is known before it begins.
    """
    if not retiring or fleet.desired == 0:
        return None
    return _no_room(fleet, policy) or _no_time(fleet, policy, retiring)


def receiving(fleet: Fleet, policy: RolloutPolicy, moving: Sequence[Server]) -> Fleet:
    """Return the fleet with the servers that can receive connections while others are moved.

    These are the remaining servers and new ones; new ones are taken to accept as much as the best of those that have
    measured it.
    """
    old = [server for server in moving if server.revision != fleet.target]
    leaving = {server.name for server in moving}
    others = [server for server in fleet.live if server.name not in leaving]
    if not old:
        return replace(fleet, servers=tuple(others))
    staying = [*others, *reversed(old[at_once(policy) :])]
    available = max(0, fleet.desired - policy.max_unavailable)
    measured = max(fleet.live, key=budget.accept_rate)
    fresh = replace(measured, revision=fleet.target, ready=True, serving=True)
    return replace(fleet, servers=tuple([*staying, *[fresh] * (available - len(staying))][:available]))


def at_once(policy: RolloutPolicy) -> int:
    """Return the number of servers that are replaced at a time."""
    return max(1, policy.max_surge + policy.max_unavailable)


def connections_of(servers: Sequence[Server]) -> int:
    """Return the number of connections of those servers that answer."""
    return sum(server.report.connections for server in servers if server.report is not None)


def room_of(fleet: Fleet, policy: RolloutPolicy) -> int | None:
    """Return the number of connections that the wanted servers may have; None without a limit."""
    limit = policy.drain.connections_per_server
    return None if limit is None else fleet.desired * limit


def _no_room(fleet: Fleet, policy: RolloutPolicy) -> str | None:
    limit, room = policy.drain.connections_per_server, room_of(fleet, policy)
    connections = connections_of(fleet.live)
    if room is None or connections <= room:
        return None
    return (
        f"{connections} connections are open, and {fleet.desired} servers with server.limits.connections {limit} have"
        f" room for {room}: raise the limit or the number of servers"
    )


def _no_time(fleet: Fleet, policy: RolloutPolicy, retiring: Sequence[Server]) -> str | None:
    if any(not server.serving for server in retiring):
        return None
    largest = sorted(retiring, key=lambda server: connections_of([server]), reverse=True)[: at_once(policy)]
    unlimited = replace(policy.drain, connections_per_server=None)
    rate = budget.moving_rate(receiving(fleet, policy, retiring), unlimited)
    connections, timeout = connections_of(largest), policy.drain.timeout_seconds
    if rate <= 0 or connections <= rate * timeout:
        return None
    which = "a server has" if len(largest) == 1 else f"{len(largest)} servers at a time have"
    return (
        f"{which} up to {connections} connections, which takes {connections / rate:.0f} s at {rate:g} connections per"
        f" second, longer than rollout.drain.timeout ({timeout:g} s): raise the timeout or the rate, or use more"
        " servers"
    )
