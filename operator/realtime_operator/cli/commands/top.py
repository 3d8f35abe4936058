"""`logs` and `top`: logs and load of servers."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import typer
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Group, RenderableType
from rich.live import Live

from realtime_operator.api.base import JsonObject
from realtime_operator.cli.command import ClusterOption
from realtime_operator.cli.output import (
    Output,
    OutputOption,
    console,
    document,
    milliseconds,
    number,
    show,
    size,
    sparkline,
    table,
    word,
)
from realtime_operator.cli.target import Target, find, find_server, name_of
from realtime_operator.errors import PlatformError
from realtime_operator.planning.model.world import Server

KEPT = 30
"""Number of measurements in a sparkline."""


async def logs(
    target: Target,
    server: Annotated[
        str | None,
        typer.Argument(
            metavar="[SERVER]", help="Name of one server, or the last part of the name. Default: all servers."
        ),
    ] = None,
    cluster: ClusterOption = None,
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Print new lines as they are logged, until Ctrl-C.")
    ] = False,
    lines: Annotated[int, typer.Option("--lines", min=0, help="Number of last lines to print for each server.")] = 50,
) -> None:
    """Print the logs of the servers. With several servers each line begins with the server's name.

    Examples:
      realtime logs
      realtime logs x2x4z --follow

    """
    name = name_of(await find(target, cluster))
    chosen = [await find_server(target, name, server)] if server else list(await target.servers(name))
    prefixed = len(chosen) > 1

    async def tell(one: Server) -> None:
        async for line in target.logs(one, lines=lines, follow=follow):
            typer.echo(f"{one.name}  {line}" if prefixed else line)

    if follow:
        async with asyncio.TaskGroup() as group:
            for one in chosen:
                group.create_task(tell(one), name=f"logs-{one.name}")
        return
    for one in chosen:
        await tell(one)


WIDE_COLUMNS = 130
"""Columns below which a terminal gets the narrow table."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One server's metrics at a time, summed over its workers; times in seconds, sizes in bytes."""

    at: float
    connections: float
    received: float
    sent: float
    outbox: float
    cpu: float | None
    memory: float | None
    delivery_sum: float
    delivery_count: float


def read_sample(metrics: str, at: float) -> Sample:
    """Parse a server's metrics; `at` is the time of the sample in seconds."""
    sums: dict[str, float] = defaultdict(float)
    for family in text_string_to_metric_families(metrics):
        for entry in family.samples:
            sums[entry.name.removeprefix("realtime_server_")] += entry.value
    return Sample(
        at=at,
        connections=sums["connections"],
        received=sums["messages_received_total"],
        sent=sums["messages_sent_total"],
        outbox=sums["outbox_bytes"],
        cpu=sums.get("cpu_seconds_total"),
        memory=sums.get("memory_bytes"),
        delivery_sum=sums["delivery_seconds_sum"],
        delivery_count=sums["delivery_seconds_count"],
    )


@dataclass(frozen=True, slots=True)
class Rates:
    """Rates of a server between two samples, per second; `latency` in seconds, None without deliveries."""

    received: float
    sent: float
    cpu: float | None
    latency: float | None


def rates(before: Sample, after: Sample) -> Rates:
    """Return the rates between two samples; after a restart in between they count from zero."""
    span = max(1e-6, after.at - before.at)
    base = before if after.sent >= before.sent else Sample(before.at, 0, 0, 0, 0, 0, 0, 0, 0)
    delivered = after.delivery_count - base.delivery_count
    return Rates(
        received=max(0.0, after.received - base.received) / span,
        sent=max(0.0, after.sent - base.sent) / span,
        cpu=None if after.cpu is None or base.cpu is None else max(0.0, after.cpu - base.cpu) / span,
        latency=(after.delivery_sum - base.delivery_sum) / delivered if delivered > 0 else None,
    )


@dataclass(slots=True)
class ServerHistory:
    """Latest sample of one server, with its rates, and the history of messages sent."""

    latest: Sample
    rates: Rates | None = None
    sent: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT))

    def add(self, sample: Sample) -> None:
        """Add a sample, and update the rates."""
        self.rates = rates(self.latest, sample)
        self.sent.append(self.rates.sent)
        self.latest = sample


async def top(
    target: Target,
    cluster: ClusterOption = None,
    interval: Annotated[float, typer.Option("--interval", min=0.2, help="Seconds between two measurements.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Measure one interval, print it, and end.")] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show live connections, messages, latency, outboxes, CPU and memory of each server.

    Examples:
      realtime top
      kubectl realtime top -c chat --once -o json

    """
    name = name_of(await find(target, cluster))
    histories: dict[str, ServerHistory] = {}
    await _measure(target, name, histories)
    if once or not console().is_terminal or output is not Output.TABLE:
        await asyncio.sleep(interval)
        servers = await _measure(target, name, histories)
        if output in {Output.JSON, Output.YAML}:
            document([*_objects(servers, histories)], output)
        else:
            show(top_table(servers, histories))
        return
    with Live(console=console(), auto_refresh=False) as live:
        while True:
            await asyncio.sleep(interval)
            servers = await _measure(target, name, histories)
            shown = top_table(servers, histories, narrow=console().width < WIDE_COLUMNS)
            live.update(Group(target.description, "", shown), refresh=True)


async def _measure(target: Target, name: str, histories: dict[str, ServerHistory]) -> Sequence[Server]:
    servers = await target.servers(name)
    texts = await asyncio.gather(*(target.metrics(server) for server in servers), return_exceptions=True)
    for server, metrics in zip(servers, texts, strict=True):
        if isinstance(metrics, PlatformError):
            continue
        if isinstance(metrics, BaseException):
            raise metrics
        sample = read_sample(metrics, time.monotonic())
        if server.name in histories:
            histories[server.name].add(sample)
        else:
            histories[server.name] = ServerHistory(sample)
    return servers


def top_table(
    servers: Sequence[Server], histories: Mapping[str, ServerHistory], *, narrow: bool = False
) -> RenderableType:
    """Return a table with a line for each server; after one sample it has no rates.

    A `narrow` table fits 80 columns: server names without their common prefix, no sparkline.
    """
    headers = ("SERVER", "STATE", "CONNECTIONS", "IN/S", "OUT/S", "", "LATENCY", "OUTBOX", "CPU", "MEMORY")
    numbers = (*headers[2:5], *headers[6:])
    rows = list(_rows(servers, histories))
    if not narrow:
        return table(headers, rows, right=numbers)
    narrow_rows = [
        (f"…{server.name.rpartition('-')[2]}", *row[1:5], *row[6:]) for server, row in zip(servers, rows, strict=True)
    ]
    return table((*headers[:5], *headers[6:]), narrow_rows, right=numbers, gap=1)


def _rows(servers: Sequence[Server], histories: Mapping[str, ServerHistory]) -> Iterator[tuple[RenderableType, ...]]:
    for server in servers:
        history = histories.get(server.name)
        state = word(server.report.state.capitalize() if server.report is not None else "Unknown")
        if history is None or history.rates is None:
            yield (server.name, state, *["-"] * 8)
            continue
        now, latest = history.rates, history.latest
        yield (
            server.name,
            state,
            number(latest.connections),
            number(round(now.received, 1)),
            number(round(now.sent, 1)),
            sparkline(history.sent),
            milliseconds(now.latency),
            size(latest.outbox),
            "-" if now.cpu is None else f"{100 * now.cpu:.0f}%",
            size(latest.memory),
        )


def _objects(servers: Sequence[Server], histories: Mapping[str, ServerHistory]) -> Iterator[JsonObject]:
    for server in servers:
        history = histories.get(server.name)
        entry: JsonObject = {"server": server.name}
        if history is not None and history.rates is not None:
            entry |= {
                "connections": int(history.latest.connections),
                "messagesInPerSecond": history.rates.received,
                "messagesOutPerSecond": history.rates.sent,
                "latencySeconds": history.rates.latency,
                "outboxBytes": int(history.latest.outbox),
                "cpu": history.rates.cpu,
                "memoryBytes": history.latest.memory,
            }
        yield entry
