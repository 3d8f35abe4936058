"""`token`: makes connection tokens for development."""

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
    user: Annotated[str, typer.Option("--user", help="User id (claim sub).")],
    channels: Annotated[
        str, typer.Option("--channels", metavar="A,B", help="Channels to which the server subscribes the client.")
    ] = "",
    ttl: Annotated[str, typer.Option("--ttl", help="Time until it expires, such as 30m, 1h or 24h. 0s: never.")] = "1h",
    info: Annotated[
        str, typer.Option("--info", metavar="JSON", help="Information about the user that presence shows to others.")
    ] = "",
    cluster: ClusterOption = None,
) -> None:
    """Print a connection token (JWT, HS256), signed with the cluster's secret, for development and tests.

    In production your backend makes the tokens. Whoever can run this command can connect as any user.

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
