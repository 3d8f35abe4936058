"""`publish`, `subscribe`, `presence`, `history`, `info`, `disconnect`: calls of the server API, and a client."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import typer

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import dig, objects_at
from realtime_operator.cli.client import Message
from realtime_operator.cli.command import ClusterOption
from realtime_operator.cli.document import text
from realtime_operator.cli.output import Output, OutputOption, document, say, show, table
from realtime_operator.cli.target import Target, find, name_of, read_cluster
from realtime_operator.errors import InputError

HINTS = {
    "102": "its namespace, the part before the colon, is not in spec.namespaces",
    "108": "it is switched off in the channel's namespace: see history and presence in spec.namespaces",
}
"""Advice for errors of the server API, by code."""

ChannelArgument = Annotated[str, typer.Argument(metavar="CHANNEL", help="Channel, such as chat:lobby.")]


async def publish(
    target: Target,
    channel: ChannelArgument,
    data: Annotated[str, typer.Argument(metavar="JSON", help="Data to publish, as JSON.")],
    cluster: ClusterOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Publish data to a channel.

    Examples:
      realtime publish chat:lobby '{"text": "hello"}'
      kubectl realtime publish chat:lobby '"hello"' -c chat

    """
    result = await call_api(target, cluster, "publish", {"channel": channel, "data": read_json(data)})
    if output in {Output.JSON, Output.YAML}:
        document(result, output)
        return
    offset = text(result, "offset")
    show(f"published to {channel}" + (f" with offset {offset}" if offset else " (the channel keeps no history)"))


def read_json(data: str) -> JsonValue:
    """Parse a JSON argument; raises InputError that shows how to quote a text."""
    try:
        value: JsonValue = json.loads(data)
    except ValueError as error:
        quoted = shlex.quote(json.dumps(data, ensure_ascii=False))
        raise InputError(f"not JSON: {data} ({error}); to publish it as a string write {quoted}") from error
    return value


async def subscribe(
    target: Target,
    channel: ChannelArgument,
    cluster: ClusterOption = None,
    user: Annotated[str, typer.Option("--user", help="User to connect as.")] = "realtime-cli",
    count: Annotated[int | None, typer.Option("--count", min=1, help="End after this number of publications.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Connect as a client, subscribe to a channel, and print its publications until Ctrl-C.

    With -o json each publication is one line of JSON.

    Examples:
      realtime subscribe chat:lobby
      kubectl realtime subscribe chat:lobby --count 1 -o json

    """
    from realtime_operator.cli.client import own_token, subscribed  # takes a fifth of a second to import

    found = read_cluster(await find(target, cluster))
    token = await own_token(target, found, user, channel)
    arrived: asyncio.Queue[Message] = asyncio.Queue()
    async with subscribed(await target.client_endpoint(found.metadata.name), token, channel, arrived.put_nowait, say):
        say(f"subscribed to {channel}")
        left = count
        while left is None or left > 0:
            _print(await arrived.get(), output)
            left = None if left is None else left - 1


def _print(message: Message, output: Output) -> None:
    if output is Output.JSON:
        line = {"channel": message.channel, "offset": message.offset, "data": message.data}
        typer.echo(json.dumps(line, ensure_ascii=False))
    else:
        at = datetime.fromtimestamp(message.at, UTC).astimezone().strftime("%H:%M:%S.%f")[:-3]
        offset = "" if message.offset is None else f"{message.offset}  "
        typer.echo(f"{at}  {offset}{json.dumps(message.data, ensure_ascii=False)}")


async def presence(
    target: Target, channel: ChannelArgument, cluster: ClusterOption = None, output: OutputOption = Output.TABLE
) -> None:
    """Show who is subscribed to a channel.

    Examples:
      realtime presence chat:lobby

    """
    result = await call_api(target, cluster, "presence", {"channel": channel})
    if output in {Output.JSON, Output.YAML}:
        document(result, output)
        return
    members = dig(result, "presence")
    rows = sorted(
        (text(info, "user"), client) for client, info in (members if isinstance(members, dict) else {}).items()
    )
    show(table(("USER", "CLIENT"), rows))


async def history(
    target: Target,
    channel: ChannelArgument,
    cluster: ClusterOption = None,
    limit: Annotated[
        int, typer.Option("--limit", min=0, max=10_000, help="Largest number of publications to show.")
    ] = 20,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show the latest publications of a channel, oldest first.

    Examples:
      realtime history chat:lobby --limit 5

    """
    result = await call_api(target, cluster, "history", {"channel": channel, "limit": limit, "reverse": True})
    if output in {Output.JSON, Output.YAML}:
        document(result, output)
        return
    kept = reversed(objects_at(result, "publications"))
    rows = [(text(p, "offset"), json.dumps(p.get("data"), ensure_ascii=False)) for p in kept]
    show(table(("OFFSET", "DATA"), rows, right=("OFFSET",)))
    say(f"offset {text(result, 'offset', default='0')}, epoch {text(result, 'epoch')}", "dim")


async def info(target: Target, cluster: ClusterOption = None, output: OutputOption = Output.TABLE) -> None:
    """Show the version, clients, users, channels and uptime of each worker.

    Examples:
      realtime info

    """
    result = await call_api(target, cluster, "info", {})
    if output in {Output.JSON, Output.YAML}:
        document(result, output)
        return
    columns = ("name", "version", "num_clients", "num_users", "num_channels", "uptime")
    rows = sorted(tuple(text(node, column, default="0") for column in columns) for node in objects_at(result, "nodes"))
    show(table(("NAME", "VERSION", "CLIENTS", "USERS", "CHANNELS", "UPTIME"), rows))


async def disconnect(
    target: Target,
    user: Annotated[str, typer.Argument(metavar="USER", help="User whose connections are closed.")],
    cluster: ClusterOption = None,
    client: Annotated[str, typer.Option("--client", help="Close only the connection with this client id.")] = "",
) -> None:
    """Close all connections of a user.

    Examples:
      realtime disconnect alice

    """
    body: JsonObject = {"user": user, **({"client": client} if client else {})}
    await call_api(target, cluster, "disconnect", body)
    show(f"{user}: disconnected")


async def call_api(
    target: Target, cluster: str | None, method: str, body: JsonObject, hints: Mapping[str, str] = HINTS
) -> JsonObject:
    """Return the result of a call; raises InputError with the server's reason, and the advice for its code."""
    name = name_of(await find(target, cluster))
    answer = await target.call_api(name, method, body)
    error = dig(answer, "error")
    if error is not None:
        code, reason = text(error, "code"), text(error, "message")
        hint = f" ({hints[code]})" if code in hints else ""
        raise InputError(f"{method}: {code}: {reason}{hint}")
    result = dig(answer, "result")
    return result if isinstance(result, dict) else {}
