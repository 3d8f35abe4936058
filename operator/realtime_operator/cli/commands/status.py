"""`status`, `get`, `describe`: the state of clusters."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer
from rich.live import Live

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig
from realtime_operator.cli import views
from realtime_operator.cli.output import Output, OutputOption, console, document, show
from realtime_operator.cli.target import Target, find, name_of

WATCH_SECONDS = 0.5

NameArgument = Annotated[
    str | None,
    typer.Argument(metavar="[CLUSTER]", help="Name of the RealtimeCluster. Not needed when there is only one."),
]
WatchOption = Annotated[bool, typer.Option("-w", "--watch", help="Show every change, until Ctrl-C.")]


async def status(
    target: Target, name: NameArgument = None, watch: WatchOption = False, output: OutputOption = Output.TABLE
) -> None:
    """Show a cluster's phase, revisions, servers, connections, rollout, budget and conditions.

    Examples:
      realtime status
      realtime status chat --watch
      kubectl realtime status chat -n team -o json

    """
    if watch:
        await _watch(target, name)
        return
    cluster = await find(target, name)
    match output:
        case Output.JSON | Output.YAML:
            document(dig(cluster, "status"), output)
        case Output.NAME:
            show(f"realtimecluster.realtime.dev/{name_of(cluster)}")
        case _:
            show(views.status_view(cluster, target.description))


async def _watch(target: Target, name: str | None) -> None:
    """Redraw the status in place on a terminal; else print it whenever it has changed."""
    if not console().is_terminal:
        seen: JsonObject | None = None
        while True:
            cluster = await find(target, name)
            if cluster != seen:
                seen = cluster
                show(views.status_view(cluster, target.description))
            await asyncio.sleep(WATCH_SECONDS)
    with Live(console=console(), auto_refresh=False) as live:
        while True:
            live.update(views.status_view(await find(target, name), target.description), refresh=True)
            await asyncio.sleep(WATCH_SECONDS)


async def get(target: Target, name: NameArgument = None, output: OutputOption = Output.TABLE) -> None:
    """List all clusters, or print one.

    Examples:
      realtime get
      realtime get chat -o yaml

    """
    clusters = list(await target.clusters()) if name is None else [await find(target, name)]
    match output:
        case Output.JSON | Output.YAML:
            items: JsonObject = {"apiVersion": "v1", "kind": "List", "items": [*clusters]}
            document(items if name is None else clusters[0], output)
        case Output.NAME:
            for cluster in clusters:
                show(f"realtimecluster.realtime.dev/{name_of(cluster)}")
        case _:
            show(views.cluster_table(clusters, wide=output is Output.WIDE))


async def describe(target: Target, name: NameArgument = None) -> None:
    """Show the status of a cluster and its recent Events.

    Examples:
      realtime describe
      kubectl realtime describe chat -n team

    """
    cluster = await find(target, name)
    show(views.describe_view(cluster, await target.events(name_of(cluster)), target.description))
