"""`token`: makes a token that a client connects with."""

from __future__ import annotations

from typing import Annotated

import typer

from realtime_operator import naming
from realtime_operator.api import duration
from realtime_operator.api.base import JsonValue
from realtime_operator.cli.command import ClusterOption
from realtime_operator.cli.commands.server_api import read_json
from realtime_operator.cli.target import Target, credential, find, read_cluster
from realtime_operator.errors import InputError


async def token(
    target: Target,
    user: Annotated[str, typer.Option("--user", help="The user: claim sub.")],
    channels: Annotated[
        str, typer.Option("--channels", metavar="A,B", help="Channels that the server subscribes the client to.")
    ] = "",
    ttl: Annotated[str, typer.Option("--ttl", help="How long it is valid: 30m, 1h, 24h; 0s: for ever.")] = "1h",
    info: Annotated[str, typer.Option("--info", metavar="JSON", help="What others see of the user in presence.")] = "",
    cluster: ClusterOption = None,
) -> None:
    """Print a connection token (JWT, HS256), signed with the cluster's secret. For development and for tests.

    In production your backend makes tokens; who can run this command can be anybody.

    Examples:
      realtime token --user alice
      realtime token --user alice --channels chat:lobby,chat:news --ttl 24h

    """
    from realtime_operator.cli.client import make_token  # takes a fifth of a second to import

    found = read_cluster(await find(target, cluster))
    if not duration.is_duration(ttl):
        raise InputError(f"--ttl: not a duration: {ttl}; write it like 30m, 1h or 24h")
    claims: dict[str, JsonValue] = {}
    if channels:
        claims["channels"] = [channel.strip() for channel in channels.split(",")]
    if info:
        claims["info"] = read_json(info)
    secret = await credential(target, found, naming.KEY_TOKEN_SECRET)
    seconds = duration.seconds(ttl)
    typer.echo(make_token(secret, user, seconds=seconds or None, cluster=found, **claims))
