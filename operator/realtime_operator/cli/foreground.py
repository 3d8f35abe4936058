"""A local cluster in the foreground of a terminal: `up` after its options are parsed."""

from __future__ import annotations

import asyncio

from realtime_operator.api.document import objects_at
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.cli import views
from realtime_operator.cli.document import text, whole
from realtime_operator.cli.local_run import Listener, LocalOptions, LocalRun
from realtime_operator.cli.screen import Screen

WAITING_SECONDS = 2.0
"""Seconds of waiting after which the reason is printed."""


async def run_in_foreground(options: LocalOptions) -> None:
    """Run until stopped; raises InputError or PlatformError when the cluster cannot start."""
    screen = Screen()
    listener = Listener(screen.event, screen.change, screen.refusal, screen.notice, screen.stopping)
    async with LocalRun.open(options, listener) as run:
        run.own_signals()
        async with screen.live(lambda: views.moving_view(run.cluster)):
            announcing = asyncio.create_task(_announce(run, screen), name="announce")
            await run.stop_requested.wait()
            announcing.cancel()
        left = whole(run.cluster, "status", "connections") or 0
        screen.say(f"stopping; {left} connections are closed (Ctrl-C again: at once)")
    screen.say("everything has ended")


async def _announce(run: LocalRun, screen: Screen) -> None:
    """Print the addresses once the cluster is ready."""
    waiting = asyncio.create_task(_print_why_not_ready(run, screen), name="waiting")
    try:
        await run.became_ready()
    finally:
        waiting.cancel()
    ports = run.options.ports
    channel = _channel(run)
    protocols = RealtimeCluster.from_object(run.cluster).spec.protocols
    first, *others = ports.client_urls(protocols)
    screen.say(f"{text(run.cluster, 'metadata', 'name')} is ready", "bold green")
    screen.console.print(f"             clients  {first}")
    for url in others:
        screen.console.print(f"                      {url}")
    screen.console.print(f"             API      {ports.api_url}")
    if protocols.centrifuge.mode == "Enabled":
        screen.console.print(f"             page     {ports.page_url}?channel={channel}")
    screen.console.print(f"             try it   realtime publish {channel} '\"hello\"'")
    screen.console.print(f"                      realtime status --watch; edit {run.options.file} and save it")


async def _print_why_not_ready(run: LocalRun, screen: Screen) -> None:
    """Print why the cluster is not ready whenever the reason changes, until cancelled."""
    printed = ""
    while True:
        await asyncio.sleep(WAITING_SECONDS)
        line = "; ".join(views.problems(run.cluster))
        if line != printed:
            printed = line
            screen.say(f"not ready yet: {line or 'starting'}", "yellow")


def _channel(run: LocalRun) -> str:
    namespaces = [text(namespace, "name") for namespace in objects_at(run.cluster, "spec", "namespaces")]
    return f"{namespaces[0]}:lobby" if namespaces and namespaces[0] != "default" else "lobby"
