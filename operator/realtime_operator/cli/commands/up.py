"""`up`: runs a cluster on this machine, in the foreground."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from realtime_operator import log, naming
from realtime_operator.cli import views
from realtime_operator.cli.command import PANEL, StateDirOption
from realtime_operator.cli.commands.planning import FileNameOption, consequences
from realtime_operator.cli.document import dig, objects, text, whole
from realtime_operator.cli.local_run import Listener, LocalOptions, LocalRun
from realtime_operator.cli.output import messages
from realtime_operator.planning.forecast import Forecast
from realtime_operator.platforms.local.object_store import Event
from realtime_operator.platforms.local.server_files import Ports
from realtime_operator.platforms.local.state_folder import default_path

REFRESH_SECONDS = 0.25


class Screen:
    """Says what happens, a line each with the seconds since the start; on a terminal with a live view below."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self.console = messages()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._start

    def say(self, text: str, style: str = "") -> None:
        """Print a line."""
        self.console.print(f"[{self.seconds:6.1f} s] {text}", style=style, soft_wrap=True)

    def event(self, event: Event) -> None:
        """An Event of the cluster."""
        self.say(f"{event.reason}: {event.message}", "yellow" if event.type == "Warning" else "")

    def change(self, expected: Forecast) -> None:
        """The file has changed: what will happen now."""
        for change in expected.changes:
            self.say(f"{change.path}: {change.before} -> {change.after}", "cyan")
        self.say("; ".join(consequences(expected)) if expected.changes else "the file says the same as before", "cyan")

    def refusal(self, reason: str) -> None:
        """The file cannot be used."""
        self.say(f"{reason}\nnothing is changed until the file is put right", "red")

    def notice(self, notice: str) -> None:
        """Something that a person should know."""
        self.say(notice, "yellow")


def up(
    file: Annotated[Path, typer.Option("-f", "--file", help="YAML file with the RealtimeCluster.", dir_okay=False)],
    name: FileNameOption = None,
    state_dir: StateDirOption = None,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.", rich_help_panel=PANEL)] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=1, max=65535, help="Port for clients.", rich_help_panel=PANEL)
    ] = naming.PORT_CLIENT,
    api_port: Annotated[
        int, typer.Option("--api-port", min=1, max=65535, help="Port of the API.", rich_help_panel=PANEL)
    ] = naming.PORT_API,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log every decision.")] = False,
) -> None:
    """Run a cluster on this machine: servers and Redis as processes, no Kubernetes, no Docker, no root.

    The file is followed: save a change, and it is rolled out as on Kubernetes. Ctrl-C moves all connections away and
    ends everything; a second Ctrl-C does so at once.

    Examples:
      realtime up -f chat.yaml
      realtime up -f chat.yaml --port 9000 --api-port 9001 --state-dir /tmp/chat

    """
    log.configure("info" if verbose else "error", "text")
    options = LocalOptions(file, state_dir or default_path(), Ports(host, port, api_port), name)
    asyncio.run(_up(options))


async def _up(options: LocalOptions) -> None:
    screen = Screen()
    listener = Listener(screen.event, screen.change, screen.refusal, screen.notice)
    async with LocalRun.open(options, listener) as run:
        run.own_signals()
        async with _live(run, screen):
            announcing = asyncio.create_task(_announce(run, screen), name="announce")
            await run.stop_requested.wait()
            announcing.cancel()
        left = whole(run.cluster, "status", "connections") or 0
        screen.say(f"stopping; {left} connections are closed (Ctrl-C again: at once)")
    screen.say("everything has ended")


async def _announce(run: LocalRun, screen: Screen) -> None:
    """Say where everything is, once the cluster is ready."""
    await run.became_ready()
    ports = run.options.ports
    channel = _channel(run)
    screen.say(f"{text(run.cluster, 'metadata', 'name')} is ready", "bold green")
    screen.console.print(f"             clients  {ports.client_url}")
    screen.console.print(f"             API      {ports.api_url}")
    screen.console.print(f"             try it   realtime publish {channel} '\"hello\"'")
    screen.console.print(f"                      realtime status --watch; edit {run.options.file} and save it")


def _channel(run: LocalRun) -> str:
    namespaces = [text(namespace, "name") for namespace in objects(run.cluster, "spec", "namespaces")]
    return f"{namespaces[0]}:lobby" if namespaces and namespaces[0] != "default" else "lobby"


@contextlib.asynccontextmanager
async def _live(run: LocalRun, screen: Screen) -> AsyncIterator[None]:
    """Show the servers at the bottom of a terminal while the body runs; elsewhere nothing."""
    if not screen.console.is_terminal:
        yield
        return

    async def refresh(live: Live) -> None:
        while True:
            live.update(_view(run), refresh=True)
            await asyncio.sleep(REFRESH_SECONDS)

    with Live(console=screen.console, auto_refresh=False, transient=True) as live:
        refreshing = asyncio.create_task(refresh(live), name="live-view")
        try:
            yield
        finally:
            refreshing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await refreshing


def _view(run: LocalRun) -> RenderableType:
    cluster = run.cluster
    if not objects(cluster, "status", "servers"):
        return Text("starting", style="dim")
    parts: list[RenderableType] = ["", views.server_table(cluster)]
    if dig(cluster, "status", "rollout") is not None:
        parts.append(Text(views.rollout_line(cluster), style="yellow"))
    return Group(*parts)
