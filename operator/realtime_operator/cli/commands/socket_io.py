"""`emit`, `sockets`: calls of the server API about clients of Socket.IO."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, objects_at
from realtime_operator.cli.command import ClusterOption
from realtime_operator.cli.commands.server_api import call_api, read_json
from realtime_operator.cli.document import text
from realtime_operator.cli.output import Output, OutputOption, document, say, show, table
from realtime_operator.cli.target import Target

HINTS = {"102": "its channel namespace is not in spec.namespaces", "108": "see spec.protocols.socketIO"}
"""Advice for errors of these calls, by code."""

NamespaceOption = Annotated[
    str, typer.Option("--of", metavar="NAMESPACE", help="Namespace of Socket.IO, such as /chat, as in `io.of`.")
]
RoomsOption = Annotated[
    list[str] | None, typer.Option("--room", help="Only sockets in this room, or with this id. Repeatable.")
]
ExceptOption = Annotated[
    list[str] | None, typer.Option("--except", help="Not the sockets in this room, or with this id. Repeatable.")
]


async def emit(
    target: Target,
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Name of the event.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="JSON", help="Its arguments, each as JSON.", show_default=False)
    ] = None,
    cluster: ClusterOption = None,
    of: NamespaceOption = "/",
    rooms: RoomsOption = None,
    excluded: ExceptOption = None,
    acknowledged: Annotated[
        float | None,
        typer.Option("--ack", metavar="SECONDS", min=0.001, max=5, help="Wait for acknowledgements, and show them."),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Send an event to clients of Socket.IO.

    Examples:
      realtime emit greet '"Ann"' 1 --of /chat --room lobby
      realtime emit ready --of /chat --ack 2.5

    """
    body: JsonObject = {
        "namespace": of,
        "rooms": [*(rooms or ())],
        "except": [*(excluded or ())],
        "event": event,
        "args": [read_json(argument) for argument in arguments or ()],
    }
    if acknowledged is not None:
        body["ack_timeout"] = acknowledged
    result = await call_api(target, cluster, "emit", body, HINTS)
    if output in {Output.JSON, Output.YAML}:
        document(result, output)
    elif acknowledged is None:
        show(f"sent {event} to {of}")
    else:
        _show_acknowledgements(result)


def _show_acknowledgements(result: JsonObject) -> None:
    rows = [
        (text(ack, "client"), json.dumps(ack["data"], ensure_ascii=False) if "data" in ack else "too large")
        for ack in objects_at(result, "acks")
    ]
    unanswered = dig(result, "unanswered")
    rows += [(str(client), "none") for client in (unanswered if isinstance(unanswered, list) else ())]
    show(table(("CLIENT", "ACKNOWLEDGED"), rows))
    if dig(result, "complete") is not True:
        say("a server did not answer: its clients are not shown")


async def sockets(
    target: Target,
    cluster: ClusterOption = None,
    of: NamespaceOption = "/",
    rooms: RoomsOption = None,
    excluded: ExceptOption = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Largest number of sockets to show.")] = 100,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show who is connected by Socket.IO, and in which rooms.

    Examples:
      realtime sockets --of /chat --room lobby

    """
    body: JsonObject = {
        "namespace": of,
        "rooms": [*(rooms or ())],
        "except": [*(excluded or ())],
        "limit": limit,
    }
    result = await call_api(target, cluster, "sockets", body, HINTS)
    if output in {Output.JSON, Output.YAML}:
        document(result, output)
        return
    found = objects_at(result, "sockets")
    rows = [(text(each, "client"), text(each, "user"), text(each, "transport"), _rooms_of(each)) for each in found]
    show(table(("CLIENT", "USER", "TRANSPORT", "ROOMS"), rows))
    say(f"{len(found)} of {text(result, 'num_sockets', default='0')}", "dim")


def _rooms_of(socket: JsonObject) -> str:
    rooms = dig(socket, "rooms")
    return " ".join(map(str, rooms if isinstance(rooms, list) else ()))
