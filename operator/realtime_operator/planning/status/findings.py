"""Findings: problems that need a person, most urgent first, with a reason for machines and a message. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from realtime_operator.api.document import text_at
from realtime_operator.planning.canary.steps import CanaryState, Phase
from realtime_operator.planning.endpoint.exposure import REFUSED
from realtime_operator.planning.model.plan import (
    Action,
    ApplyObject,
    CreateObject,
    DeleteObject,
    EnsureSecret,
    FailureKind,
    IssueCertificate,
    ResizeClaim,
    ScaleRevision,
)
from realtime_operator.planning.model.reasons import Reason
from realtime_operator.planning.model.world import CANNOT_START, RedisPod, Server
from realtime_operator.planning.moving.brakes import failures_text
from realtime_operator.planning.moving.rollout import timed_out
from realtime_operator.planning.status.facts import Facts

REPORTED_HOLDS = frozenset({Reason.MOVED_NOT_ARRIVING, Reason.PLAN_REJECTED})
"""Reasons of holds that need a person."""

ATTEMPTS_ENOUGH = 20
"""Minimum number of connects for a judgement of whether clients can connect."""
NEARLY_FULL_PART = 0.9
"""Part of the memory of Redis from which it is reported."""
SUCCEEDING_PART = 0.1
"""Part of successful connects below which clients count as refused."""

Finding = tuple[Reason, str]


def all_findings(facts: Facts) -> list[Finding]:
    """Return all current findings, most urgent first."""
    checks = (
        last_refusal,
        name_taken,
        write_refused,
        pods_refused,
        kind_not_served,
        route_refused,
        server_cannot_start,
        redis_cannot_start,
        redis_change_fails,
        gate_failed,
        moves_fail,
        clients_refused,
        drain_timed_out,
        server_not_ready,
        redis_not_ready,
        redis_nearly_full,
        server_unreachable,
        deadline_exceeded,
    )
    return [found for check in checks if (found := check(facts)) is not None]


def last_refusal(facts: Facts) -> Finding | None:
    """Report the last refusal while the cluster or the operator is paused and nothing is tried."""
    return facts.prior.refusal if facts.is_paused else None


def name_taken(facts: Facts) -> Finding | None:
    """Report objects of the cluster's names that others own."""
    messages = [failure.message for failure in facts.failures if failure.kind is FailureKind.NAME_TAKEN]
    return (Reason.NAME_TAKEN, ". ".join(messages)) if messages else None


def write_refused(facts: Facts) -> Finding | None:
    """Report writes that the platform has refused."""
    refused = [failure for failure in facts.failures if failure.kind is FailureKind.REFUSED]
    messages = [f"{about(failure.action)} was refused: {failure.message}" for failure in refused]
    return (Reason.WRITE_REFUSED, "; ".join(messages)) if messages else None


def about(action: Action) -> str:
    """Return kind and name of an action's object."""
    match action:
        case CreateObject() | ApplyObject() | EnsureSecret() | IssueCertificate():
            return f"{text_at(action.manifest, 'kind')} {text_at(action.manifest, 'metadata', 'name')}"
        case DeleteObject():
            return f"deletion of {action.key.kind} {action.key.name}"
        case ResizeClaim():
            return f"expansion of PersistentVolumeClaim {action.name} to {action.size}"
        case ScaleRevision():
            return f"scaling ReplicaSet {action.replica_set} to {action.replicas}"
        case _:
            return f"{type(action).__name__} {getattr(action, 'server', '')}".strip()


def pods_refused(facts: Facts) -> Finding | None:
    """Report ReplicaSets whose pods the API server refuses: a ResourceQuota, a LimitRange, an admission webhook."""
    return (Reason.PODS_REFUSED, "; ".join(facts.pods_refused)) if facts.pods_refused else None


def kind_not_served(facts: Facts) -> Finding | None:
    """Report kinds that the spec asks for and whose CRD is not installed, or that the operator may not watch."""
    return (Reason.KIND_NOT_SERVED, "; ".join(facts.missing_kinds)) if facts.missing_kinds else None


def route_refused(facts: Facts) -> Finding | None:
    """Report a route that a Gateway refuses: its clients reach no server."""
    exposure = facts.exposure
    return (exposure.reason, exposure.message) if exposure.reason in REFUSED.values() else None


def server_cannot_start(facts: Facts) -> Finding | None:
    """Report a server whose container cannot start."""
    for server in facts.fleet.live:
        if server.waiting_reason in CANNOT_START:
            return Reason.SERVER_CANNOT_START, f"server {server.name} cannot start: {_waiting(server)}"
    return None


def redis_cannot_start(facts: Facts) -> Finding | None:
    """Report a managed Redis whose container cannot start."""
    for pod in facts.redis.pods:
        if not pod.trial and pod.waiting_reason in CANNOT_START:
            return Reason.REDIS_CANNOT_START, f"Redis pod {pod.name} cannot start: {_waiting(pod)}"
    return None


def redis_change_fails(facts: Facts) -> Finding | None:
    """Report a changed Redis whose trial cannot start; the serving one is kept."""
    for pod in facts.redis.pods:
        if pod.trial and pod.waiting_reason in CANNOT_START:
            message = (
                f"the change of Redis is not applied, because its trial pod {pod.name} cannot start: {_waiting(pod)}"
            )
            return Reason.REDIS_CHANGE_FAILS, f"{message}; the current Redis keeps running"
    return None


def moves_fail(facts: Facts) -> Finding | None:
    """Report held moves: moved connections do not arrive, or the plan cannot work."""
    hold = facts.hold
    if hold is None or hold.reason not in REPORTED_HOLDS or not hold.in_force(facts.now):
        return None
    return hold.reason, hold.message


def clients_refused(facts: Facts) -> Finding | None:
    """Report that nearly all recent connects failed."""
    reports = [server.report.recent for server in facts.fleet.available if server.report is not None]
    recent = [found for found in reports if found is not None]
    succeeded = sum(found.connects_succeeded for found in recent)
    failed = sum(found.connects_failed for found in recent)
    attempts = succeeded + failed
    if attempts < ATTEMPTS_ENOUGH or succeeded >= SUCCEEDING_PART * attempts:
        return None
    seconds = max(found.seconds for found in recent)
    why = failures_text(facts.fleet.available)
    return Reason.CLIENTS_REFUSED, f"{failed} of {attempts} connects in the last {seconds:g} s failed{why}"


def gate_failed(facts: Facts) -> Finding | None:
    """Report a revision whose gate has failed, until another spec is wanted or it is tried again."""
    if facts.canary is None or facts.canary.state.failed is None:
        return None
    return Reason.GATE_FAILED, gate_text(facts.canary.state)


def gate_text(state: CanaryState) -> str:
    """Return what has failed, what was done about it, and how it goes on."""
    assert state.failed is not None
    what = f"revision {state.revision} failed gate {state.failed.value} in step {state.step}: {state.message}"
    if state.phase is Phase.PAUSED:
        return (
            f"{what}. The rollout is paused: `realtime rollout resume` tries again, `realtime rollout undo` goes back"
        )
    return f"{what}. It was rolled back: change the spec, or let `realtime rollout resume` try it again"


def drain_timed_out(facts: Facts) -> Finding | None:
    """Report servers with connections left after the timeout of their drain."""
    late = [s for s in facts.step.retiring if timed_out(s, facts.policy.drain, facts.now) and s.report is not None]
    late = [server for server in late if server.report is not None and server.report.connections > 0]
    return _about(Reason.DRAIN_TIMED_OUT, late, "still had connections when its drain timed out")


def server_not_ready(facts: Facts) -> Finding | None:
    """Report running servers that are not ready for longer than the grace period."""
    limit = facts.now - facts.unready_grace
    running = [server for server in facts.fleet.live if server.waiting_reason not in CANNOT_START]
    late = [s for s in running if s.serving and not s.ready and (s.unready_since or s.created_at) < limit]
    return _about(Reason.SERVER_NOT_READY, late, "is not ready")


def redis_not_ready(facts: Facts) -> Finding | None:
    """Report a managed Redis that is not ready for longer than the grace period, or has no pod."""
    limit = facts.now - facts.unready_grace
    if facts.redis.podless_since is not None and facts.redis.podless_since < limit:
        name = facts.redis.name
        return Reason.REDIS_NOT_READY, f"StatefulSet {name} has no pod: `kubectl describe statefulset {name}` shows why"
    for pod in facts.redis.pods:
        waits = pod.waiting_reason in CANNOT_START
        if not pod.trial and not waits and not pod.ready and (pod.unready_since or pod.created_at) < limit:
            return Reason.REDIS_NOT_READY, f"Redis pod {pod.name} is not ready"
    return None


def redis_nearly_full(facts: Facts) -> Finding | None:
    """Report a Redis, managed or external, that will soon refuse writes because its memory is used up."""
    reports = [server.report.store for server in facts.fleet.servers if server.report and server.report.store]
    fullest = max(reports, key=lambda store: store.used_bytes / max(1, store.limit_bytes), default=None)
    if fullest is None or not fullest.limit_bytes or fullest.used_bytes < NEARLY_FULL_PART * fullest.limit_bytes:
        return None
    limit = fullest.limit_bytes // (1 << 20)
    return Reason.REDIS_NEARLY_FULL, (
        f"Redis uses more than {NEARLY_FULL_PART:.0%} of its memory ({limit} MiB): when it is full, publishing with"
        " history and presence fail with error 100. Raise its memory limit, or lower history.size or history.ttl"
    )


def server_unreachable(facts: Facts) -> Finding | None:
    """Report ready servers that do not answer the operator for longer than the grace period."""
    limit = facts.now - facts.unready_grace
    silent = [s for s in facts.fleet.available if s.name in facts.unreachable and facts.unreachable[s.name] < limit]
    return _about(
        Reason.SERVER_UNREACHABLE, silent, "does not answer on its admin port: its number of connections is unknown"
    )


def deadline_exceeded(facts: Facts) -> Finding | None:
    """Report a change without progress within `spec.rollout.progressDeadline`."""
    if not facts.overdue:
        return None
    return Reason.DEADLINE_EXCEEDED, f"no progress for {facts.overdue_after:g} s"


def _waiting(waiting: Server | RedisPod) -> str:
    detail = f": {waiting.waiting_message}" if waiting.waiting_message else ""
    return f"{waiting.waiting_reason}{detail}"


def _about(reason: Reason, servers: Sequence[Server], text: str) -> Finding | None:
    if not servers:
        return None
    others = f" (and {len(servers) - 1} more)" if len(servers) > 1 else ""
    return reason, f"server {servers[0].name}{others} {text}"
