"""`probe`: test messages through every server, with their latencies."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import typer
from rich.console import RenderableType

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.cli.client import Message
from realtime_operator.cli.command import ClusterOption
from realtime_operator.cli.output import Output, OutputOption, document, milliseconds, say, show, table, word, working
from realtime_operator.cli.target import ClientEndpoint, Target, find, read_cluster
from realtime_operator.errors import InputError, PlatformError

ARRIVAL_SECONDS = 5.0
ENDPOINT = "endpoint"
FAILED = 1


@dataclass(slots=True)
class Listener:
    """One subscriber of the probe: through which endpoint, and the seconds that each message took."""

    name: str
    endpoint: ClientEndpoint
    seconds: dict[int, float] = field(default_factory=dict)
    refusal: str = ""


def percentile(values: Sequence[float], part: float) -> float | None:
    """Return the nearest-rank percentile, `part` from 0 to 1; None without values."""
    if not values:
        return None
    ordered = sorted(values)
    return ordered[max(0, min(len(ordered) - 1, round(part * len(ordered) + 0.5) - 1))]


async def probe(
    target: Target,
    cluster: ClusterOption = None,
    count: Annotated[int, typer.Option("--count", min=1, max=1000, help="Number of messages to send.")] = 20,
    channel: Annotated[str, typer.Option("--channel", help="Channel to use. Default: a new one.")] = "",
    output: OutputOption = Output.TABLE,
) -> int:
    """Publish through the API, receive through every server, and show what arrived and how fast.

    Times are measured here, from the call of the API to the arrival at the client. On this machine the servers share
    one port, so one client connects for each server. The exit code is 1 if a message did not arrive.

    Examples:
      realtime probe
      kubectl realtime probe -c chat --count 100 -o json

    """
    from realtime_operator.cli.client import own_token  # takes a fifth of a second to import

    found = read_cluster(await find(target, cluster))
    used = channel or channel_of(found)
    listeners = await _listeners(target, found)
    token = await own_token(target, found, "realtime-probe", used)
    sent: dict[int, float] = {}
    async with contextlib.AsyncExitStack() as stack:
        for listener in listeners:
            await stack.enter_async_context(_listening(listener, token, used, sent))
        if not any(listener.refusal == "" for listener in listeners):
            raise PlatformError(listeners[0].refusal)
        with working(f"publishing to {used}"):
            await _send(target, found.metadata.name, used, count, sent)
            await _arrived(listeners, count)
    missing = sum(count - len(listener.seconds) for listener in listeners)
    if output in {Output.JSON, Output.YAML}:
        document({"channel": used, "sent": count, "lost": missing, "clients": [*map(_to_object, listeners)]}, output)
    else:
        show(listener_table(listeners, count))
    return FAILED if missing else 0


def channel_of(cluster: RealtimeCluster) -> str:
    """Return a random channel in the first namespace other than `default`, if there is one."""
    name = f"realtime-probe-{secrets.token_hex(4)}"
    names = [namespace.name for namespace in cluster.spec.namespaces if namespace.name != "default"]
    return f"{names[0]}:{name}" if names else name


async def _listeners(target: Target, cluster: RealtimeCluster) -> list[Listener]:
    name = cluster.metadata.name
    servers = [server for server in await target.servers(name) if server.ready and server.serving]
    if not servers:
        raise InputError(f"{name} has no server that is ready")
    shared = await target.client_endpoint(name)
    endpoints = [(server.name, await target.client_endpoint(name, server)) for server in servers]
    if all(endpoint == shared for _, endpoint in endpoints):
        return [Listener(f"{ENDPOINT} #{number}", shared) for number, _ in enumerate(endpoints, 1)]
    return [Listener(ENDPOINT, shared), *(Listener(server, endpoint) for server, endpoint in endpoints)]


@contextlib.asynccontextmanager
async def _listening(listener: Listener, token: str, channel: str, sent: dict[int, float]) -> AsyncIterator[None]:
    """Subscribe while the body runs; a failure is noted in the listener and not raised."""
    from realtime_operator.cli.client import subscribed

    def note(message: Message) -> None:
        number = message.data.get("probe") if isinstance(message.data, dict) else None
        if isinstance(number, int) and number in sent:
            listener.seconds[number] = time.monotonic() - sent[number]

    async with contextlib.AsyncExitStack() as stack:
        try:
            await stack.enter_async_context(subscribed(listener.endpoint, token, channel, note))
        except (InputError, PlatformError) as error:
            listener.refusal = str(error)
        yield


async def _send(target: Target, cluster: str, channel: str, count: int, sent: dict[int, float]) -> None:
    for number in range(count):
        data: JsonValue = {"probe": number}
        sent[number] = time.monotonic()
        answer = await target.call_api(cluster, "publish", {"channel": channel, "data": data})
        if answer.get("error") is not None:
            raise InputError(f"publish to {channel}: {answer['error']}")


async def _arrived(listeners: Sequence[Listener], count: int) -> None:
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while time.monotonic() < deadline:
        if all(len(listener.seconds) == count for listener in listeners if not listener.refusal):
            return
        await asyncio.sleep(0.01)
    say(f"not all messages have arrived within {ARRIVAL_SECONDS:g} s")


def _to_object(listener: Listener) -> JsonObject:
    values = list(listener.seconds.values())
    return {
        "through": listener.name,
        "received": len(values),
        "p50Seconds": percentile(values, 0.5),
        "p90Seconds": percentile(values, 0.9),
        "p99Seconds": percentile(values, 0.99),
        "maxSeconds": max(values, default=None),
        **({"error": listener.refusal} if listener.refusal else {}),
    }


def listener_table(listeners: Sequence[Listener], count: int) -> RenderableType:
    """Return a table with a line for each subscriber."""
    rows: list[tuple[RenderableType, ...]] = []
    for listener in listeners:
        values = list(listener.seconds.values())
        state = "ok" if len(values) == count else "error"
        times = [milliseconds(percentile(values, part)) for part in (0.5, 0.9, 0.99, 1.0)]
        rows.append((listener.name, word(state), f"{len(values)}/{count}", *times, listener.refusal))
    headers = ("THROUGH", "STATE", "RECEIVED", "P50", "P90", "P99", "MAX", "")
    return table(headers, rows, right=headers[2:7])
