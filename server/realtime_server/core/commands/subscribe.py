"""Commands subscribe, sub_refresh and unsubscribe."""

from __future__ import annotations

import re
from json.encoder import encode_basestring_ascii

from realtime_server import codes
from realtime_server.core.channels.join import Wanted
from realtime_server.core.commands.replying_session import ReplyingSession
from realtime_server.core.limits.limit import SUBSCRIPTION_BYTES, TOKEN_BYTES
from realtime_server.core.model.commands import (
    ChannelRequest,
    EmptyResult,
    SubRefreshRequest,
    SubRefreshResult,
    SubscribeRequest,
)
from realtime_server.core.model.errors import CommandError
from realtime_server.core.operations.subscriptions import Subscriptions

FIELDS_BYTES = 256
"""Size of a subscribe command besides channel, token and data: its id, a position, flags, and field names."""
FOSSIL = "fossil"
ESCAPE_BYTES = 6
"""Size of a character in the form `\\u0026`."""
_UNESCAPED = re.compile(r"[ !#-%'-;=?-\[\]-~]*")
"""Pattern of a text that no SDK escapes, the common case."""
REJECT_UNRECOVERED = 2
"""Flag of a client that prefers an error to a subscription without recovery."""


async def subscribe(
    subscriptions: Subscriptions, session: ReplyingSession, command: int, request: SubscribeRequest
) -> None:
    """Handle a subscribe command.

    Raises CommandError, DisconnectRequestedError or BackplaneError, after which nothing of the subscription is left.
    """
    require_plain(request)
    data = bytes(request.data)
    size = _fitting_size(session, request.channel, request.token, data)
    wanted = wanted_by(request)
    join = await subscriptions.subscribe(session, request.channel, wanted, data=data, token=request.token)
    if join is None:
        return
    if not session.reply_within(command, join.result):
        if wanted.reject_unrecovered:
            join.abandon()
            raise CommandError(codes.UNRECOVERABLE_POSITION)
        join.drop_recovery()
        session.reply(command, join.result)
    join.complete()
    session.note_size(request.channel, size)


def _fitting_size(session: ReplyingSession, channel: str, token: str, data: bytes = b"") -> int:
    """Return an upper bound of a subscribe command's size, whatever its options and the escaping of its texts.

    Raises CommandError LIMIT_EXCEEDED when the client could no longer ask for all its channels in one frame.
    """
    size = FIELDS_BYTES + 2 * ESCAPE_BYTES * (len(channel) + len(token)) + len(data)  # two escapes for the longest
    if size > SUBSCRIPTION_BYTES:
        size = FIELDS_BYTES + escaped_size(channel) + escaped_size(token) + len(data)
    if len(token) <= TOKEN_BYTES and not session.fits(channel, size):  # a longer token is refused for itself
        raise CommandError(codes.LIMIT_EXCEEDED)
    return size


def escaped_size(text: str) -> int:
    """Return the size in bytes of a text in the JSON of the SDK that escapes most.

    Python's SDK escapes every character that is not ASCII, Go's also `<`, `>` and `&`.
    """
    if _UNESCAPED.fullmatch(text):
        return len(text)
    html = text.count("<") + text.count(">") + text.count("&")
    return len(encode_basestring_ascii(text)) - len('""') + (ESCAPE_BYTES - 1) * html


def wanted_by(request: SubscribeRequest, *, server_side: bool = False) -> Wanted:
    """Return the options that a client asks for."""
    return Wanted(
        recover=request.recover,
        offset=request.offset,
        epoch=request.epoch,
        reject_unrecovered=bool(request.flag & REJECT_UNRECOVERED),
        delta=request.delta == FOSSIL,
        receives_join_leave=request.join_leave or server_side,
        server_side=server_side,
    )


def require_plain(request: SubscribeRequest) -> None:
    """Raise CommandError NOT_AVAILABLE for another type of subscription, and for a filter of publications.

    A client that asks for a part must not get everything as if it were that part.
    """
    if request.type or bytes(request.tf) not in {b"", b"null"}:
        raise CommandError(codes.NOT_AVAILABLE)


def refresh(subscriptions: Subscriptions, session: ReplyingSession, command: int, request: SubRefreshRequest) -> None:
    """Handle a sub_refresh command. Raises CommandError."""
    if request.type:
        raise CommandError(codes.NOT_AVAILABLE)
    size = _fitting_size(session, request.channel, request.token)
    grant = subscriptions.refresh(session, request.channel, request.token)
    session.note_size(request.channel, size)
    ttl = 0 if grant.expires_at is None else session.seconds_until(grant.expires_at)
    session.reply(command, SubRefreshResult(expires=grant.expires_at is not None, ttl=ttl))
    subscriptions.follow(session, request.channel, grant)


def unsubscribe(session: ReplyingSession, request: ChannelRequest) -> EmptyResult:
    """Handle an unsubscribe command."""
    session.drop_subscription(request.channel)
    return EmptyResult("unsubscribe")
