"""`plan`: the effects of a change before it is applied."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.errors import Finding
from realtime_operator.api.references import references
from realtime_operator.api.validation import missing_secrets
from realtime_operator.builders.servers.replica_set import build_pod
from realtime_operator.cli.cluster_file import ClusterFile, read, refuse
from realtime_operator.cli.document import until
from realtime_operator.cli.output import Output, OutputOption, document, show, table
from realtime_operator.cli.target import Target, name_of, read_cluster
from realtime_operator.cli.views import consequences, rolled_back_lines, value_text
from realtime_operator.errors import ForbiddenError
from realtime_operator.planning.decisions.operator_rollout import Upcoming, upcoming
from realtime_operator.planning.forecast import Forecast, as_stored, forecast
from realtime_operator.planning.model.timestamps import timestamp

FileOption = Annotated[Path, typer.Option("-f", "--file", help="YAML file with the RealtimeCluster.", dir_okay=False)]
FileNameOption = Annotated[str | None, typer.Option("--name", help="Name of the cluster, if the file has several.")]


async def plan(
    target: Target, file: FileOption, name: FileNameOption = None, output: OutputOption = Output.TABLE
) -> None:
    """Show what applying a file would do: the new revision, the connections that move, the rate and the duration.

    It also shows a rollout that the operator would begin by itself, and the maintenance window that it waits for.

    Changes nothing. The exit code is 2 if the file is invalid, if a Secret that it refers to is neither in the file nor
    on the platform, or if Kubernetes would refuse the pods. It is 1 if the operator would not move the connections,
    because the servers that stay cannot take them, or if Kubernetes would not admit a new server now (ResourceQuota,
    LimitRange, an admission webhook): nothing would move then.

    Examples:
      realtime plan -f chat.yaml
      kubectl realtime plan -f chat.yaml -n team -o json

    """
    wanted = read(file, name)
    known = {name_of(cluster): cluster for cluster in await target.clusters()}
    stored = known.get(wanted.name)
    old = None if stored is None else read_cluster(stored)
    servers = [] if old is None else await target.servers(wanted.name)
    replica_sets = {} if old is None else await target.replica_sets(wanted.name)
    identity = wanted.cluster.metadata if old is None else old.metadata
    new = wanted.cluster.model_copy(update={"metadata": identity})
    refuse(file, wanted.document, (*await _missing_secrets(target, wanted), *await target.refused(new)))
    settings, now = await target.planner_settings(wanted.name), datetime.now(UTC)
    expected = forecast(old, new, servers, settings, replica_sets)
    no_pod = None
    if expected.starts_servers:
        no_pod = await target.why_no_pod(build_pod(new, settings.build, expected.revision))
    later = upcoming(as_stored(old, new), replica_sets, settings, now)
    if output in {Output.JSON, Output.YAML}:
        document(
            {**to_object(wanted.name, expected), "podRefused": no_pod, "operatorRollout": upcoming_object(later)},
            output,
        )
    else:
        view = forecast_view(wanted.name, expected, created=old is None)
        show(Group(view, *further(no_pod, later, now)))
    if expected.rejection is not None or no_pod is not None:
        raise typer.Exit(1)


def further(no_pod: str | None, later: Upcoming | None, now: datetime) -> Iterator[str]:
    """Yield why no new server would be admitted, and what the operator would roll out by itself, a sentence each."""
    if no_pod is not None:
        yield f"no new server would be admitted, and no connection would move: {no_pod}"
    if later is not None:
        yield upcoming_line(later, now)


async def _missing_secrets(target: Target, wanted: ClusterFile) -> tuple[Finding, ...]:
    """Return what the spec refers to and does not exist; empty when the user may not read Secrets."""
    secrets = dict(wanted.secrets)
    try:
        for name in {reference.secret for reference in references(wanted.cluster)} - secrets.keys():
            values = await target.secret(name)
            if values:
                secrets[name] = values
    except ForbiddenError:
        return ()
    return missing_secrets(wanted.cluster, secrets)


def to_object(name: str, expected: Forecast) -> JsonObject:
    """Return the forecast as a JSON object."""
    changes: list[JsonValue] = [{"path": c.path, "before": c.before, "after": c.after} for c in expected.changes]
    return {
        "cluster": name,
        "changes": changes,
        "revision": expected.revision,
        "isNewRevision": expected.is_new_revision,
        "serversBefore": expected.servers_before,
        "serversAfter": expected.servers_after,
        "connectionsToMove": expected.connections,
        "connectionsPerSecond": expected.connections_per_second,
        "seconds": expected.seconds,
        "openConnections": expected.open_connections,
        "room": expected.room,
        "serversReplaced": expected.servers_replaced,
        "rejection": expected.rejection,
        "rolledBack": expected.rolled_back,
        "steps": [
            {"share": step.share, "servers": step.servers, "beside": step.beside, "holdSeconds": step.hold_seconds}
            for step in expected.steps
        ],
    }


def upcoming_object(later: Upcoming | None) -> JsonObject | None:
    """Return the rollout that the operator would begin by itself as a JSON object."""
    if later is None:
        return None
    return {"revision": later.revision, "nextWindow": None if later.window is None else timestamp(later.window.at)}


def upcoming_line(later: Upcoming, now: datetime) -> str:
    """Return a sentence about the rollout that the operator would begin by itself."""
    window = later.window
    what = f"newer defaults of the operator make revision {later.revision}"
    if window is None:
        return f"{what}: it is rolled out when the operator has a slot for it"
    return f"{what}: it waits for the window {window.local} ({until(window.at, now)}), then for a slot"


def forecast_view(name: str, expected: Forecast, *, created: bool) -> RenderableType:
    """Return a view of the forecast; `created` when the cluster does not exist yet."""
    if created:
        return f"{name} would be created: revision {expected.revision}, {expected.servers_after} servers"
    if not expected.changes:
        unchanged = f"{name} is already as the file says: nothing would change"
        return Group(unchanged, *rolled_back_lines(expected))
    changes = table(
        ("FIELD", "NOW", "THEN"), [(c.path, value_text(c.before), value_text(c.after)) for c in expected.changes]
    )
    return Group(changes, "", *consequences(expected))
