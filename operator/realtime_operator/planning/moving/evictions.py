"""Answer to the request to evict a server's pod: it may go, or it waits until its connections were moved. Pure.

The answer does not depend on who asks, and how: the admission webhook of `pods/eviction` is one caller.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta

from realtime_operator.planning.model.world import Server, ServerReport, ServerState
from realtime_operator.planning.moving import brakes

LOWEST_RETRY_SECONDS, HIGHEST_RETRY_SECONDS = 1, 3
"""Bounds of the time after which a held eviction is to be asked for again.

Clients of Kubernetes repeat the request up to ten times by themselves before they show the message.
"""


@dataclass(frozen=True, slots=True)
class Allow:
    """The pod may go now; `reason` is for the log."""

    reason: str


@dataclass(frozen=True, slots=True)
class Hold:
    """The pod must stay; the request is to be repeated after `retry_after_seconds`. `message` is for people."""

    retry_after_seconds: int
    message: str


Verdict = Allow | Hold


def first_request(noted: datetime | None, now: datetime) -> datetime:
    """Return when the eviction was first requested: the time noted on the pod, or now. A time in the future is void."""
    return noted if noted is not None and noted <= now else now


def decide(
    server: Server,
    requested_at: datetime,
    limit_seconds: float,
    obstacle: str | None,
    now: datetime,
    stop: brakes.Hold | None = None,
) -> Verdict:
    """Hold a server that has connections, or may have some, until they were moved; for `limit_seconds` at most.

    One that the operator has taken out of the endpoint is held until the operator removes it, which lowers its
    ReplicaSet by one: after an eviction the ReplicaSet would make another pod, although the replacement is there.
    `requested_at` is when the eviction was first requested. `obstacle` is why the operator would not move connections,
    None when it does: a server is not held for an operator that does nothing. `stop` is `.status.hold`: while a brake
    stops the moves for a time, the server waits, and the message has its reason.
    """
    if server.terminating or server.failed:
        return Allow("it ends already")
    if obstacle is not None:
        return Allow(obstacle)
    if _has_none(server) and (server.serving or server.report is None):
        return Allow("it has no connections")
    left = (requested_at + timedelta(seconds=limit_seconds) - now).total_seconds()
    if left <= 0:
        return Allow(f"it was held for the drain's timeout ({limit_seconds:g} s)")
    seconds, what = _progress(server, stop if stop is not None and stop.in_force(now) else None)
    retry = max(LOWEST_RETRY_SECONDS, min(HIGHEST_RETRY_SECONDS, math.ceil(min(seconds, left))))
    return Hold(retry, f"{server.name} {what}. It is held for {math.ceil(left)} s more at most.")


def _has_none(server: Server) -> bool:
    """Return True when a server has no connections. One that runs and does not answer may have some, ready or not."""
    if server.report is None:
        return server.waiting_reason is not None or not server.was_ready
    return server.report.connections == 0


def _progress(server: Server, stop: brakes.Hold | None) -> tuple[float, str]:
    """Return the estimated seconds until the connections are moved, infinite when unknown, and what goes on."""
    report = server.report
    if report is None:
        return math.inf, "does not answer the operator, and may have connections"
    if report.connections == 0:
        return 0.0, "has no connections left, and is removed by the operator"
    holds = f"holds {report.connections} connection{'s' if report.connections != 1 else ''}"
    rate = report.drain_rate if report.state is ServerState.DRAINING else None
    if rate:
        seconds = report.connections / rate
        return seconds, f"{holds}, which are moved at {rate:g} per second; about {math.ceil(seconds)} s left"
    return math.inf, f"{holds}, which {_awaited(server, report, stop)}"


def _awaited(server: Server, report: ServerReport, stop: brakes.Hold | None) -> str:
    if stop is not None:
        return f"are not moved now ({stop.reason.value}: {stop.message})"
    if report.state is ServerState.DRAINING:
        return "are moved when other servers can accept them"
    if not server.serving:
        return "are moved when no new ones have arrived for the settle time"
    return "are moved when its replacement is ready"
