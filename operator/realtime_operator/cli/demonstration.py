"""The demonstration: a local cluster with stock clients and a publisher, all of whose servers are replaced."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import centrifuge
from rich.console import Group, RenderableType
from rich.text import Text

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import objects_at
from realtime_operator.cli import views
from realtime_operator.cli.client import CLOSING_SECONDS, make_token
from realtime_operator.cli.document import text, whole
from realtime_operator.cli.local_run import Listener, LocalOptions, LocalRun
from realtime_operator.cli.output import show
from realtime_operator.cli.ports import free_port
from realtime_operator.cli.screen import REFRESH_SECONDS, Screen
from realtime_operator.cli.tally import Tally
from realtime_operator.cli.target import read_cluster
from realtime_operator.errors import PlatformError
from realtime_operator.platforms.local.server_files import Ports

CHANNEL = "chat:lobby"
SETTLE_SECONDS = 5.0
UPDATE_SECONDS = 120.0
CALL_SECONDS = 5.0
PRINT_SECONDS = 1.0
"""Seconds between two lines of progress without a terminal."""
CLUSTER = """\
apiVersion: {api_version}
kind: {kind}
metadata:
  name: demo
spec:
  replicas: 2
  namespaces:
    - name: chat
      history: {{size: 1000, ttl: 10m}}
      recovery: Stream
  server:
    limits: {{messagesPerSecond: {messages_per_second}}}
  rollout:
    maxSurge: 100%
    drain: {{settle: 1s}}
"""


async def demonstrate(clients: int, rate: float) -> bool:
    """Run the demonstration; return True when nothing was lost or duplicated. Raises KeyboardInterrupt when stopped."""
    screen = Screen()
    with tempfile.TemporaryDirectory(prefix="rt-demo-") as folder:
        file = Path(folder) / "demo.yaml"
        _write(file, messages_per_second=100)
        listener = Listener(lambda _: None, screen.change, screen.refusal, screen.notice, lambda _: None)
        options = LocalOptions(file, Path(folder) / "state", Ports(client=free_port(), api=free_port()))
        screen.say("realtime up: 2 servers and a Redis, as processes of this machine")
        async with LocalRun.open(options, listener) as run:
            run.own_signals()
            showing = asyncio.create_task(Show(run, screen, clients, rate).run(), name="demo")
            stopping = asyncio.create_task(run.stop_requested.wait(), name="stop")
            await asyncio.wait({showing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
            if not showing.done():
                showing.cancel()
                raise KeyboardInterrupt
            result = showing.result()
            run.at_once.set()
        return result


def _write(file: Path, *, messages_per_second: int) -> None:
    file.write_text(
        CLUSTER.format(api_version=naming.API_VERSION, kind=naming.KIND, messages_per_second=messages_per_second)
    )


class _ClientEvents(centrifuge.ClientEventHandler):  # type: ignore[misc]  # the SDK publishes no types
    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._connected_before = False

    async def on_connected(self, _ctx: centrifuge.ConnectedContext) -> None:
        if self._connected_before:
            self._tally.reconnects.append(time.monotonic())
        self._connected_before = True


class _SubscriptionEvents(centrifuge.SubscriptionEventHandler):  # type: ignore[misc]  # the SDK publishes no types
    def __init__(self, tally: Tally, subscriber: int, arrived: asyncio.Event) -> None:
        self._tally = tally
        self._subscriber = subscriber
        self._arrived = arrived

    async def on_subscribed(self, ctx: centrifuge.SubscribedContext) -> None:
        if ctx.was_recovering and not ctx.recovered:
            self._tally.unrecovered += 1

    async def on_publication(self, ctx: centrifuge.PublicationContext) -> None:
        self._tally.receive(self._subscriber, int(ctx.pub.data["number"]))
        self._arrived.set()


@dataclass(slots=True)
class Show:
    """The demonstration on a cluster that is starting."""

    local: LocalRun
    screen: Screen
    clients: int
    rate: float
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when a publication arrives."""

    async def run(self) -> bool:
        """Run all steps; return True when nothing was lost or duplicated."""
        await self.local.became_ready()
        self.screen.say(f"ready: {self.local.options.ports.client_url}")
        tally = Tally(self.clients)
        async with self._subscribers(tally), self._publisher(tally) as publishing:
            first = await self._first_delivery()
            self.screen.say(f"{self.clients} stock clients (centrifuge-python) subscribe to {CHANNEL}; {first}")
            async with self._live(tally):
                await self._update()
            publishing.set()
            await self._settle(tally)
        return self._report(tally)

    @contextlib.asynccontextmanager
    async def _subscribers(self, tally: Tally) -> AsyncIterator[None]:
        cluster = read_cluster(self.local.cluster)
        secret = self.local.store.secret(naming.credentials_secret(cluster.metadata.name))[naming.KEY_TOKEN_SECRET]
        connected = []
        for number in range(self.clients):
            token = make_token(secret, f"user-{number}", seconds=600, cluster=cluster)
            client = centrifuge.Client(
                self.local.options.ports.client_url, events=_ClientEvents(tally), token=token, max_reconnect_delay=1.0
            )
            subscription = client.new_subscription(
                CHANNEL, events=_SubscriptionEvents(tally, number, self.arrived), recoverable=True
            )
            connected.append((client, subscription))
        try:
            await asyncio.gather(*(client.connect() for client, _ in connected))
            await asyncio.gather(*(subscription.subscribe() for _, subscription in connected))
            await asyncio.gather(*(subscription.ready() for _, subscription in connected))
            yield
        finally:
            await asyncio.gather(*(client.disconnect() for client, _ in connected))
            await asyncio.sleep(CLOSING_SECONDS)

    @contextlib.asynccontextmanager
    async def _publisher(self, tally: Tally) -> AsyncIterator[asyncio.Event]:
        """Publish in the background until the yielded event is set."""
        stopped = asyncio.Event()
        key = self.local.store.secret(naming.credentials_secret("demo"))[naming.KEY_API]
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
        async with aiohttp.ClientSession(headers={"X-API-Key": key}, timeout=timeout) as session:
            task = asyncio.create_task(self._publish(session, tally, stopped), name="publisher")
            try:
                yield stopped
            finally:
                stopped.set()
                await task

    async def _publish(self, session: aiohttp.ClientSession, tally: Tally, stopped: asyncio.Event) -> None:
        url, number = f"{self.local.options.ports.api_url}/publish", 0
        while not stopped.is_set():
            number += 1
            body: JsonObject = {"channel": CHANNEL, "data": {"number": number}}
            async with session.post(url, json=body) as response:
                answer: JsonObject = await response.json()
            if answer.get("error") is not None:
                raise PlatformError(f"publish: {answer['error']}")
            tally.published.append(number)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1 / self.rate):
                    await stopped.wait()

    async def _first_delivery(self) -> str:
        await self.arrived.wait()
        return f"the first message arrived {self.screen.seconds:.1f} s after the command"

    async def _update(self) -> None:
        """Change the file, as an editor does, and wait until every server runs the new revision."""
        before = text(self.local.cluster, "status", "targetRevision")
        self.screen.say("edit of demo.yaml: spec.server.limits.messagesPerSecond: 100 -> 200")
        _write(self.local.options.file, messages_per_second=200)
        deadline = time.monotonic() + UPDATE_SECONDS
        while not self._updated(before):
            if time.monotonic() > deadline:
                raise PlatformError(f"the update is not done after {UPDATE_SECONDS:g} s")
            await asyncio.sleep(REFRESH_SECONDS / 5)
        self.screen.say("every server is replaced")

    def _updated(self, before: str) -> bool:
        cluster = self.local.cluster
        current = text(cluster, "status", "currentRevision")
        servers = objects_at(cluster, "status", "servers")
        same = all(server.get("revision") == current for server in servers)
        return current != before and same and text(cluster, "status", "phase") == "Ready"

    async def _settle(self, tally: Tally) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                while tally.lost:
                    self.arrived.clear()
                    await self.arrived.wait()

    def _report(self, tally: Tally) -> bool:
        counts = (
            f"published {len(tally.published)}, delivered {tally.delivered} to {self.clients} clients,"
            f" lost {tally.lost}, duplicated {tally.duplicated},"
            f" largest reconnect rate {tally.largest_reconnect_rate()} per second"
        )
        exact = tally.lost == tally.duplicated == tally.unrecovered == 0
        moved = len(tally.reconnects)
        self.screen.say(f"{moved} connections were moved by their servers", "" if moved else "yellow")
        show(Text(counts, style="bold green" if exact else "bold red"))
        return exact

    @contextlib.asynccontextmanager
    async def _live(self, tally: Tally) -> AsyncIterator[None]:
        """Show connections moving: in place on a terminal, else as lines at intervals."""
        if self.screen.console.is_terminal:
            async with self.screen.live(lambda: self._view(tally)):
                yield
            return
        writing = asyncio.create_task(self._write(tally), name="demo-lines")
        try:
            yield
        finally:
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _write(self, tally: Tally) -> None:
        while True:
            self.screen.say(self._line(tally))
            await asyncio.sleep(PRINT_SECONDS)

    def _view(self, tally: Tally) -> RenderableType:
        counts = f"published {len(tally.published)}, delivered {tally.delivered}"
        return Group(views.moving_view(self.local.cluster), counts)

    def _line(self, tally: Tally) -> str:
        cluster = self.local.cluster
        target = text(cluster, "status", "targetRevision")
        servers = "  ".join(
            f"{text(s, 'name').rpartition('-')[2]} ({'new' if s.get('revision') == target else 'old'},"
            f" {text(s, 'state')}): {whole(s, 'connections') or 0}"
            for s in objects_at(cluster, "status", "servers")
        )
        return f"    {servers} | published {len(tally.published)}, delivered {tally.delivered}"
