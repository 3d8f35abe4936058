"""How a client gets channels and gives them up: the commands subscribe, sub_refresh and unsubscribe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import structs

from realtime_server import codes
from realtime_server.core.auth.permissions import may_see_presence, may_subscribe
from realtime_server.core.channels.join import Wanted
from realtime_server.core.limits.limit import Limit
from realtime_server.core.model.commands import (
    ChannelRequest,
    EmptyResult,
    SubRefreshRequest,
    SubRefreshResult,
    SubscribeRequest,
)
from realtime_server.core.model.errors import CommandError, DisconnectRequestedError
from realtime_server.core.model.grant import PLAIN, Grant
from realtime_server.core.model.publication import content_in
from realtime_server.core.model.pushes import SubscribePush
from realtime_server.core.ports.backend import RENEW_AGAIN_SECONDS, Hook, Refreshed

if TYPE_CHECKING:
    from realtime_server.core.channels.subscription import Subscription
    from realtime_server.core.sessions.session import Session


async def subscribe(session: Session, command: int, request: SubscribeRequest) -> None:
    """Subscribe and answer.

    Raises CommandError, DisconnectRequestedError or BackplaneError, and then nothing is left of it.
    """
    require_plain(request)
    session.node.hub.require(request.channel)
    if request.channel in session.subscriptions:
        raise CommandError(codes.ALREADY_SUBSCRIBED)
    if len(session.subscriptions) >= session.node.limits.channels_per_connection:
        session.node.counters.limits[Limit.CHANNELS_PER_CONNECTION] += 1
        raise CommandError(codes.LIMIT_EXCEEDED)
    grant = await granted(session, request)
    if session.closed:
        return
    wanted = permitted(session, request.channel, Wanted.by_client(request, grant))
    join = await session.node.hub.join(session, request.channel, wanted)
    if request.channel in session.subscriptions:  # by the server meanwhile
        join.abandon()
        raise CommandError(codes.ALREADY_SUBSCRIBED)
    if not session.reply_within(command, join.result):
        if wanted.reject_unrecovered:
            join.abandon()
            raise CommandError(codes.UNRECOVERABLE_POSITION)
        join.forgo()
        session.reply(command, join.result)
    join.complete()


def require_plain(request: SubscribeRequest) -> None:
    """Raises CommandError NOT_AVAILABLE for another type of subscription, and for a filter of publications.

    Whoever asks for a part must not be given all of it as if it were that part.
    """
    if request.type or bytes(request.tf) not in {b"", b"null"}:
        raise CommandError(codes.NOT_AVAILABLE)


def permitted(session: Session, channel: str, wanted: Wanted) -> Wanted:
    """What a client may have of it: who may not ask who is there is not told who comes. Raises CommandError."""
    options, claims = session.node.hub.require(channel), session.claims
    if claims is None or not may_see_presence(claims, channel, options, subscribed=True):
        return structs.replace(wanted, receives_join_leave=False)
    return wanted


async def granted(session: Session, request: SubscribeRequest) -> Grant:
    """The conditions under which a client may subscribe. Raises CommandError or DisconnectRequestedError."""
    backend = session.node.backend
    if backend.asks(Hook.SUBSCRIBE, request.channel):
        grant = await backend.subscribe(session.caller(), request.channel, bytes(request.data), request.token)
        if grant is not None:
            return grant
    if request.token:
        return session.node.verify_subscription(request.token, channel=request.channel, user=session.user)
    options = session.node.hub.require(request.channel)
    if session.claims is None or not may_subscribe(session.claims, request.channel, options):
        raise CommandError(codes.PERMISSION_DENIED)
    return PLAIN


def refresh(session: Session, request: SubRefreshRequest) -> SubRefreshResult:
    """Take a new token for a subscription. Raises CommandError."""
    if request.type:
        raise CommandError(codes.NOT_AVAILABLE)
    subscription = session.subscriptions.get(request.channel)
    if subscription is None:
        raise CommandError(codes.PERMISSION_DENIED)
    if not request.token:
        raise CommandError(codes.BAD_REQUEST)
    grant = session.node.verify_subscription(request.token, channel=request.channel, user=session.user)
    subscription.expires_at, subscription.info = grant.expires_at, grant.info
    subscription.renewed_by_hook = False
    session.expiring = session.expiring or grant.expires_at is not None
    if grant.expires_at is None:
        return SubRefreshResult(expires=False, ttl=0)
    return SubRefreshResult(expires=True, ttl=session.seconds_until(grant.expires_at))


async def subscribe_server_side(session: Session, channel: str, grant: Grant, since: tuple[int, str] | None) -> None:
    """Subscribe a client that did not ask for it; `since`: it has everything up to this offset of this epoch.

    One that has the channel already, or as many channels as it may have, is left as it is. Raises BackplaneError.
    """
    await session.welcomed()
    if not _has_room(session, channel):
        return
    offset, epoch = since or (0, "")
    wanted = Wanted(
        recover=since is not None, offset=offset, epoch=epoch, receives_join_leave=True, server_side=True, grant=grant
    )
    try:
        join = await session.node.hub.join(session, channel, permitted(session, channel, wanted))
    except CommandError:
        return
    if not _has_room(session, channel):  # any more, because of another call
        join.abandon()
        return
    result = join.result
    begins_at = result.publications[0].offset - 1 if result.publications else result.offset
    session.push(channel, SubscribePush(result.recoverable, result.epoch, begins_at, result.positioned, result.data))
    for publication in result.publications:
        frames = session.codec.publication(channel, content_in(publication), publication.offset)
        session.connection.write(frames)
    join.complete()


def _has_room(session: Session, channel: str) -> bool:
    if channel in session.subscriptions or session.closed:
        return False
    full = len(session.subscriptions) >= session.node.limits.channels_per_connection
    session.node.counters.limits[Limit.CHANNELS_PER_CONNECTION] += full
    return not full


def unsubscribe(session: Session, request: ChannelRequest) -> EmptyResult:
    """Give a channel up."""
    session.drop_subscription(request.channel)
    return EmptyResult("unsubscribe")


async def renew(session: Session, channel: str, subscription: Subscription) -> None:
    """Ask the backend whether a subscription whose time is over goes on; it does if the backend cannot be asked."""
    try:
        answer = await session.node.backend.sub_refresh(session.caller(), channel)
    except DisconnectRequestedError as wanted:
        session.disconnect(wanted.code)
        return
    except CommandError:
        answer = Refreshed(expired=True)
    if session.subscriptions.get(channel) is not subscription:
        return
    if answer is None:
        answer = Refreshed(session.node.wall_clock() + RENEW_AGAIN_SECONDS)
    if answer.expired:
        session.end_subscription(channel, codes.UNSUBSCRIBED_EXPIRED)
        return
    subscription.expires_at = answer.expires_at
    subscription.info = answer.info or subscription.info
