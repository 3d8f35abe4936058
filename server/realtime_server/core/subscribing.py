"""How a client gets channels and gives them up: the commands subscribe and unsubscribe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from realtime_server import codes
from realtime_server.core.commands import ChannelRequest, EmptyResult, SubscribeRequest
from realtime_server.core.join import Wanted
from realtime_server.core.namespaces import PRIVATE_PREFIX
from realtime_server.core.ports import CommandError

if TYPE_CHECKING:
    from realtime_server.core.session import Session


async def subscribe(session: Session, command: int, request: SubscribeRequest) -> None:
    """Subscribe and answer. Raises CommandError or BackplaneError, and then nothing is left of it."""
    hub = session.node.hub
    if request.type:
        raise CommandError(codes.NOT_AVAILABLE)
    hub.require(request.channel)
    if request.channel.startswith(PRIVATE_PREFIX):
        raise CommandError(codes.PERMISSION_DENIED)
    if request.channel in session.subscriptions:
        raise CommandError(codes.ALREADY_SUBSCRIBED)
    if len(session.subscriptions) >= session.node.limits.channels_per_connection:
        raise CommandError(codes.LIMIT_EXCEEDED)
    join = await hub.join(session, request.channel, Wanted.by_client(request))
    session.reply(command, join.result)
    join.complete()


def unsubscribe(session: Session, request: ChannelRequest) -> EmptyResult:
    """Give a channel up."""
    session.drop_subscription(request.channel)
    return EmptyResult("unsubscribe")
