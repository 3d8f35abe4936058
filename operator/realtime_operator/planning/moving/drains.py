"""Division of the budget: which leaving server moves its connections, and at which rate. Pure.

Servers whose pods are being deleted come first, because Kubernetes ends them at a given time. Those that the operator
retires can wait. The rates add up to the budget at most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType

from realtime_operator.planning.model.plan import Action, Drain, SetShare
from realtime_operator.planning.model.world import Server, ServerState
from realtime_operator.planning.moving.budget import MINIMUM_RATE, Budget, DrainPolicy
from realtime_operator.planning.moving.fleet import Fleet, is_lost

SETTLE_LIMIT = 6
"""Number of settle times after which a server that still gets connections is drained: clients with its address."""

RAISE_TOLERANCE, LOWER_TOLERANCE = 0.1, 0.01
"""Parts by which the rate of a running drain may be below or above the server's share."""

SHARE, LOWEST_KEPT_SHARE = 0.8, 0.6
"""Parts of what would be a server's at an equal division: what it gets, and down to what it keeps what it has.

The shares follow a budget that changes all the time without a call each time, and never add up to more.
"""

LOWEST_SHARE = 0.1
"""Lower bound of a share in connections per second."""

NOTHING_KNOWN: Mapping[str, int] = MappingProxyType({})

HURRIED_RATE = 100_000.0
"""Rate from which on a server moves what is left at once, as its time is over; it is not slowed down any more."""


def divide(
    fleet: Fleet,
    retiring: Sequence[Server],
    policy: DrainPolicy,
    budget: Budget,
    now: datetime,
    known: Mapping[str, int] = NOTHING_KNOWN,
) -> list[Action]:
    """Return the changes of rates that give every leaving server its part of the budget.

    Rates are lowered first. What that frees is given out when it was observed: the call to a server may fail. A leaving
    server that does not answer, and had connections by `known` (numbers by name), may be draining: its part is kept,
    and nobody is made faster until it answers or is lost.
    """
    ending = [server for server in fleet.servers if _is_ending(server)]
    settled = [(s, s.report) for s in retiring if _rate(s) is not None or is_settled(s, policy, now)]
    waiting = [server for server, report in settled if report is not None and report.connections > 0]
    actions: list[Action] = [
        Drain(server.name, server.admin, MINIMUM_RATE)
        for server, report in settled
        if report is not None and report.connections == 0 and report.state is not ServerState.DRAINED
    ]
    moving = [*ending, *waiting] if budget.free_rate > 0 else ending
    moving = moving[: math.floor(budget.rate / MINIMUM_RATE)]
    silent = [server for server in fleet.servers if _may_drain_unseen(server, known)]
    part = math.floor(10 * budget.rate / (len(moving) + len(silent))) / 10 if moving else 0.0
    names = {server.name for server in moving}
    rates = [(server, part if server.name in names else _waiting_rate(server)) for server in [*ending, *waiting]]
    changed = [
        (server, rate)
        for server, rate in rates
        if rate is not None and _may_be_told(server, policy) and _rate_differs(server, rate)
    ]
    lowered = [(server, rate) for server, rate in changed if _drains_faster(server, rate)]
    if any(not is_lost(server, now) for server in silent):
        changed = [(server, rate) for server, rate in changed if rate == 0]
    return [*actions, *(Drain(server.name, server.admin, rate) for server, rate in lowered or changed)]


def shares(fleet: Fleet, budget: Budget) -> list[SetShare]:
    """Return the changes of the rates at which servers drain when they must stop and the operator is away.

    All of them together do not exceed the budget. Servers of earlier releases take none.
    """
    if budget.rate <= 0 or not fleet.live:
        return []
    part = budget.rate / len(fleet.live)
    share = max(LOWEST_SHARE, round(SHARE * part, 3))
    return [
        SetShare(server.name, server.admin, share)
        for server in fleet.live
        if server.report is not None
        and server.report.share is not None
        and not LOWEST_KEPT_SHARE * part <= server.report.share <= max(LOWEST_SHARE, part)
    ]


def is_settled(server: Server, policy: DrainPolicy, now: datetime) -> bool:
    """Return True for a quiesced server without new connections for the settle time (or SETTLE_LIMIT times as long)."""
    if server.serving or server.quiesced_at is None:
        return False
    quiesced = (now - server.quiesced_at).total_seconds()
    if quiesced < policy.settle_seconds:
        return False
    last = server.report.seconds_since_last_accept if server.report else None
    return last is None or last >= policy.settle_seconds or quiesced >= SETTLE_LIMIT * policy.settle_seconds


def any_ends(fleet: Fleet) -> bool:
    """Return True while a server whose pod is being deleted has connections."""
    return any(_is_ending(server) for server in fleet.servers)


def _is_ending(server: Server) -> bool:
    """Return True for a server whose pod is being deleted and which moves its connections, or will soon."""
    if not server.terminating or server.failed or server.report is None:
        return False
    return server.report.connections > 0 and (server.report.drain_rate or 0.0) < HURRIED_RATE


def _may_drain_unseen(server: Server, known: Mapping[str, int]) -> bool:
    """Return True for a leaving server that runs, does not answer, and had connections."""
    if server.report is not None or server.failed or server.waiting_reason is not None:
        return False
    return (server.terminating or server.quiesced_at is not None) and known.get(server.name, 0) > 0


def _may_be_told(server: Server, policy: DrainPolicy) -> bool:
    """Return True when a server that is ending has settled, by its own report; others have by now."""
    report = server.report
    if report is None or not server.terminating or report.state is ServerState.DRAINING:
        return True
    last = report.seconds_since_last_accept
    return report.state is ServerState.QUIESCED and (last is None or last >= policy.settle_seconds)


def _waiting_rate(server: Server) -> float | None:
    """Return the rate of a server that is to wait; None when it waits unless it is told to drain.

    Servers of earlier releases know no rate of 0.
    """
    knows_holds = server.report is not None and server.report.share is not None
    if _rate(server) is None and not (server.terminating and knows_holds):
        return None
    return 0.0 if knows_holds else MINIMUM_RATE


def _rate(server: Server) -> float | None:
    report = server.report
    return report.drain_rate if report is not None and report.state is ServerState.DRAINING else None


def _drains_faster(server: Server, wanted: float) -> bool:
    return (_rate(server) or 0.0) > wanted


def _rate_differs(server: Server, wanted: float) -> bool:
    """Return True when the rate is to be changed."""
    rate = _rate(server)
    if rate is None:
        return True
    return rate > wanted * (1 + LOWER_TOLERANCE) or rate < wanted * (1 - RAISE_TOLERANCE)
