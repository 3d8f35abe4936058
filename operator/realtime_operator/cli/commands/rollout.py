"""`rollout`, `drain`, `shed`, `scale`: changes of a running cluster."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from enum import Enum
from typing import Annotated

import typer

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, object_at, objects_at
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.cli import views
from realtime_operator.cli.command import ClusterOption
from realtime_operator.cli.document import age, text, whole
from realtime_operator.cli.output import Output, OutputOption, document, say, show, table
from realtime_operator.cli.target import Target, find, find_server, name_of, read_cluster
from realtime_operator.errors import InputError, PlatformError
from realtime_operator.planning.canary.steps import Phase
from realtime_operator.planning.forecast import forecast
from realtime_operator.planning.model.timestamps import timestamp
from realtime_operator.planning.moving import budget
from realtime_operator.planning.revisions import history

RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"
"""Annotation of `kubectl rollout restart`, whose change makes a new revision."""
POLL_SECONDS = 0.5
DEFAULT_TIMEOUT = 600.0
FAILED = 1
CANARY_FAILED = frozenset({Phase.PAUSED, Phase.ROLLED_BACK})
"""Phases of a canary after a failed gate."""

ServerArgument = Annotated[
    str, typer.Argument(metavar="SERVER", help="Name of the server, or the last part of the name.")
]
RateOption = Annotated[
    float | None,
    typer.Option(
        "--rate", min=0.1, help="Connections per second. Default: the rate that the other servers can accept."
    ),
]
WaitOption = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is done, and show the progress.")]
TimeoutOption = Annotated[float, typer.Option("--timeout", min=0, help="Longest time to wait, in seconds.")]


async def rollout_status(
    target: Target, cluster: ClusterOption = None, wait: WaitOption = True, within: TimeoutOption = DEFAULT_TIMEOUT
) -> int:
    """Follow a rollout until it is done. The exit code is 1 if it fails or is not done in time.

    Examples:
      realtime rollout status
      kubectl realtime rollout status -c chat --no-wait

    """
    name = name_of(await find(target, cluster))
    return await _follow(target, name, within if wait else 0)


async def _follow(target: Target, name: str, within: float) -> int:
    deadline = time.monotonic() + within
    printed = ""
    while True:
        found = await find(target, name)
        outcome = outcome_of(found)
        if outcome is Outcome.DONE:
            show(f"{name}: revision {text(found, 'status', 'currentRevision')} serves, nothing is being replaced")
            return 0
        line = f"{text(found, 'status', 'phase', default='Pending')}: {views.condition_message(found, 'Progressing')}"
        if dig(found, "status", "rollout") is not None:
            line += f"; {views.rollout_line(found)}"
        if line != printed:
            printed = line
            say(line)
        if outcome is Outcome.FAILED or time.monotonic() >= deadline:
            degraded = outcome is Outcome.FAILED or text(found, "status", "phase") == "Degraded"
            say(views.condition_message(found, "Degraded") if degraded else "the rollout is not done")
            return FAILED
        await asyncio.sleep(POLL_SECONDS)


class Outcome(Enum):
    """Outcome of a rollout so far."""

    DONE = "done"
    FAILED = "failed"
    OPEN = "open"


def outcome_of(cluster: JsonObject) -> Outcome:
    """Return the outcome of the rollout of a stored cluster; a status of an earlier spec says nothing about it."""
    if whole(cluster, "status", "observedGeneration") != whole(cluster, "metadata", "generation"):
        return Outcome.OPEN
    if text(cluster, "status", "canary", "phase") in CANARY_FAILED:
        return Outcome.FAILED
    same = dig(cluster, "status", "currentRevision") == dig(cluster, "status", "targetRevision")
    settled = same and text(cluster, "status", "phase") == "Ready" and dig(cluster, "status", "rollout") is None
    return Outcome.DONE if settled else Outcome.OPEN


async def rollout_pause(target: Target, cluster: ClusterOption = None) -> None:
    """Stop changing the cluster until `rollout resume`. Running servers keep running.

    Examples:
      realtime rollout pause

    """
    name = name_of(await find(target, cluster))
    await target.patch(name, {"paused": True})
    show(f"{name}: paused")


async def rollout_resume(target: Target, cluster: ClusterOption = None) -> None:
    """Resume changes to the cluster after `rollout pause`, and try again what has failed a gate.

    Examples:
      realtime rollout resume

    """
    found = await find(target, cluster)
    name = name_of(found)
    patch: JsonObject = {"paused": False}
    again = text(found, "status", "canary", "phase") in CANARY_FAILED
    if again and dig(found, "spec", "rollout", "canary") is not None:
        patch |= {"rollout": {"canary": {"resumedAt": _now()}}}
    await target.patch(name, patch)
    revision = text(found, "status", "canary", "revision")
    show(f"{name}: revision {revision} is tried again" if again else f"{name}: resumed")


async def rollout_restart(target: Target, cluster: ClusterOption = None) -> None:
    """Replace all servers by new ones with the same configuration, in a rolling update.

    The new servers use the operator's current defaults. Run this after an upgrade of the operator to apply them.

    Examples:
      realtime rollout restart && realtime rollout status

    """
    name = name_of(await find(target, cluster))
    await target.patch(name, {"pod": {"annotations": {RESTARTED_AT: _now()}}})
    show(f"{name}: all servers will be replaced")


def _now() -> str:
    return timestamp(datetime.now(UTC))


async def rollout_history(target: Target, cluster: ClusterOption = None, output: OutputOption = Output.TABLE) -> None:
    """List the revisions that were rolled out, newest first.

    Examples:
      realtime rollout history

    """
    found = await find(target, cluster)
    kept = objects_at(found, "status", "revisionHistory")
    if output in {Output.JSON, Output.YAML}:
        document([*kept], output)
        return
    rows = [(text(entry, "revision"), age(text(entry, "completedAt")), _marks(found, entry)) for entry in kept]
    show(table(("REVISION", "AGE", ""), rows))


def _marks(cluster: JsonObject, entry: JsonObject) -> str:
    return "current target" if entry.get("revision") == dig(cluster, "status", "targetRevision") else ""


async def rollout_undo(
    target: Target,
    cluster: ClusterOption = None,
    to: Annotated[str | None, typer.Option("--to", help="Revision to go back to. Default: the previous one.")] = None,
) -> None:
    """Go back to an earlier revision, in a rolling update. This also ends a rollout that is stuck.

    Every field that makes a revision is restored. The number of servers, autoscaling, the endpoint, the rate of
    rollouts and the managed Redis stay as they are. The exit code is 2 if there is no revision to go back to.

    Examples:
      realtime rollout undo
      realtime rollout undo --to bcdfghjkmn

    """
    found = await find(target, cluster)
    old, name = read_cluster(found), name_of(found)
    rollback = next(history.rollbacks(old, object_at(found, "spec"), to), None)
    if rollback is None:
        raise InputError(_why_no_rollback(old, to))
    new = read_cluster({**found, "spec": rollback.spec})
    expected = forecast(
        old, new, await target.servers(name), await target.planner_settings(name), await target.replica_sets(name)
    )
    await target.patch(name, rollback.patch)
    if expected.revision == rollback.revision:
        show(f"{name}: goes back to revision {rollback.revision}")
    else:
        made = f"with the operator's current defaults this makes revision {expected.revision}"
        show(f"{name}: goes back to the spec of revision {rollback.revision}; {made}")


def _why_no_rollback(cluster: RealtimeCluster, to: str | None) -> str:
    name, known = cluster.metadata.name, [entry.revision for entry in history.entries(cluster)]
    if to is not None and to not in known:
        return f"{name} has no revision {to} in its history: see `rollout history`"
    if to is not None:
        return f"{name}: there is nothing to go back to: the spec is already that of revision {to}"
    if not known:
        return f"{name}: there is nothing to go back to: no rollout is complete yet"
    return f"{name}: there is nothing to go back to: all revisions in the history have the present spec"


async def drain(
    target: Target,
    server: ServerArgument,
    cluster: ClusterOption = None,
    wait: WaitOption = True,
    within: TimeoutOption = DEFAULT_TIMEOUT,
) -> int:
    """Drain a server: move all its connections away within the budget, then replace it by a new server.

    Examples:
      realtime drain x2x4z
      kubectl realtime drain chat-bcdfghjk-x2x4z --no-wait

    """
    name = name_of(await find(target, cluster))
    leaving = await find_server(target, name, server)
    await target.drain(name, leaving)
    say(f"server {leaving.name} will be drained and replaced")
    deadline = time.monotonic() + (within if wait else 0)
    printed = ""
    while wait:
        found = next((s for s in await target.servers(name) if s.name == leaving.name), None)
        if found is None:
            show(f"server {leaving.name} is gone")
            return 0
        state = found.report.state.value if found.report is not None else "ending"
        line = f"{state}, {found.report.connections if found.report is not None else 0} connections left"
        if line != printed:
            printed = line
            say(line)
        if time.monotonic() >= deadline:
            say("the drain is not done")
            return FAILED
        await asyncio.sleep(POLL_SECONDS)
    return 0


async def shed(
    target: Target,
    server: ServerArgument,
    connections: Annotated[int, typer.Argument(min=1, help="Number of connections to move.")],
    cluster: ClusterOption = None,
    rate: RateOption = None,
) -> None:
    """Move some connections of a server to the other servers. It keeps serving the rest.

    Examples:
      realtime shed x2x4z 100

    """
    found = await find(target, cluster)
    name = name_of(found)
    leaving = await find_server(target, name, server)
    others = [s for s in await target.servers(name) if s.name != leaving.name and s.ready and s.serving]
    if not others:
        raise PlatformError(f"no other server of {name} is ready to accept connections")
    pace = rate or sum(map(budget.accept_rate, others))
    await target.shed(name, leaving, connections, round(pace, 1))
    show(f"server {leaving.name}: {connections} connections move at {pace:.1f} per second")


async def scale(
    target: Target,
    replicas: Annotated[int, typer.Argument(min=0, max=1000, help="Number of servers.")],
    cluster: ClusterOption = None,
) -> None:
    """Set the number of servers. Servers that are removed are drained first.

    Examples:
      realtime scale 3
      kubectl realtime scale 5 -c chat

    """
    found = read_cluster(await find(target, cluster))
    name = found.metadata.name
    if found.spec.autoscaling is not None:
        raise InputError(f"{name} is autoscaled: change spec.autoscaling.minReplicas and maxReplicas instead")
    await target.patch(name, {"replicas": replicas})
    show(f"{name}: {found.spec.replicas} -> {replicas} servers")
