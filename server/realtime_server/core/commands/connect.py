"""How a client is let in, and how it stays: the commands connect and refresh."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from msgspec import Raw, structs

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.auth.claims import Claims
from realtime_server.core.auth.verifier import TokenRefusedError
from realtime_server.core.channels.join import Join, Wanted
from realtime_server.core.commands.subscribe import granted, permitted, require_plain
from realtime_server.core.limits.limit import Limit
from realtime_server.core.model.commands import (
    ConnectRequest,
    ConnectResult,
    RefreshRequest,
    RefreshResult,
    SubscribeRequest,
    SubscribeResult,
)
from realtime_server.core.model.errors import BackplaneError, CommandError, DisconnectRequestedError
from realtime_server.core.model.grant import PLAIN
from realtime_server.core.ports.backend import RENEW_AGAIN_SECONDS, Connecting, Hook, Refreshed

if TYPE_CHECKING:
    from realtime_server.core.sessions.session import Session


def connect_now(session: Session, command: int, request: ConnectRequest) -> bool:
    """Let a client in; False when that takes the backplane or the backend. Raises CommandError."""
    if session.claims is not None or (not request.token and session.node.backend.asks(Hook.CONNECT)):
        return False
    try:
        claims = _verified(session, request.token)
    except DisconnectRequestedError as refused:
        session.disconnect(refused.code)
        return True
    if not session.node.open(session, claims):
        return True
    if claims.channels or (session.codec.unidirectional and request.subs):
        return False  # they are to be joined: `connect` goes on
    session.greet(command, _result(session, {}, None))
    return True


async def connect(session: Session, command: int, request: ConnectRequest) -> None:
    """Let a client in that the backend decides about, join its channels, and answer.

    Raises CommandError, DisconnectRequestedError or BackplaneError.
    """
    data = None
    if session.claims is None:
        claims, data = await _asked(session, request)
        if session.closed or not session.node.open(session, claims):
            return
    try:
        joined = await _joined(session, request)
    except (CommandError, BackplaneError):
        session.node.turn_away(session)
        raise
    if not session.greet(command, _result(session, {join.channel: join.result for join in joined}, data)):
        for join in joined:
            join.forgo()
        if not session.greet(command, _result(session, {join.channel: join.result for join in joined}, data)):
            session.disconnect(codes.SERVER_ERROR)  # what the backend has to tell is too much by itself
    # What came meanwhile follows the reply.
    for join in joined:
        join.complete()


async def _asked(session: Session, request: ConnectRequest) -> tuple[Claims, bytes | None]:
    """Who the client is, says the backend, and what it is told."""
    question = Connecting(
        session.caller(), bytes(request.data), request.name, request.version, tuple(request.subs), request.headers
    )
    answer = await session.node.backend.connect(question)
    return (_verified(session, request.token), None) if answer is None else (answer.claims, answer.data)


def _verified(session: Session, token: str) -> Claims:
    """Who the client is, says its token. Raises CommandError or DisconnectRequestedError."""
    try:
        return session.node.authenticate(token)
    except TokenRefusedError as refused:
        if isinstance(refused.code, DisconnectCode):
            raise DisconnectRequestedError(refused.code) from refused
        raise CommandError(refused.code) from refused


async def _joined(session: Session, request: ConnectRequest) -> list[Join]:
    """Subscriptions to the channels that the client gets with its connection: all of them or none.

    They are those of its claims, and those that a client asks for which can send no other command.
    """
    claims = session.claims
    assert claims is not None
    grants = claims.grants or {}
    wanted = {
        name: Wanted.by_client(request.subs.get(name, SubscribeRequest()), grants.get(name, PLAIN), server_side=True)
        for name in claims.channels
    }
    _require_room(session, len(wanted))
    joined: list[Join] = []
    try:
        if session.codec.unidirectional:
            wanted |= await _requested(session, request, known=wanted.keys())
        for channel, options in wanted.items():
            joined.append(await session.node.hub.join(session, channel, permitted(session, channel, options)))
    except BaseException:
        for join in joined:
            join.abandon()
        raise
    return joined


def _require_room(session: Session, channels: int) -> None:
    """Raises DisconnectRequestedError when these are too many: the client has no way to do with fewer."""
    if channels > session.node.limits.channels_per_connection:
        session.node.counters.limits[Limit.CHANNELS_PER_CONNECTION] += 1
        raise DisconnectRequestedError(codes.CHANNEL_LIMIT)


async def _requested(session: Session, request: ConnectRequest, known: Collection[str]) -> dict[str, Wanted]:
    """The channels that a client asks for in its connect command, as far as it may subscribe to them."""
    channels = [channel for channel in request.subs if channel not in known]
    _require_room(session, len(channels) + len(known))
    wanted = {}
    for channel in channels:
        asked = structs.replace(request.subs[channel], channel=channel)
        require_plain(asked)
        session.node.hub.require(channel)
        wanted[channel] = Wanted.by_client(asked, await granted(session, asked), server_side=True)
    return wanted


def refresh(session: Session, request: RefreshRequest) -> RefreshResult:
    """Take a new token of the same user. Raises CommandError."""
    try:
        claims = _verified(session, request.token)
    except DisconnectRequestedError as refused:
        raise CommandError(codes.UNAUTHORIZED) from refused
    if session.claims is None or claims.user != session.claims.user:
        raise CommandError(codes.BAD_REQUEST)
    session.claims = claims
    expires, ttl = _time_to_live(session, claims)
    return RefreshResult(session.client, session.node.version, expires, ttl)


async def renew(session: Session) -> None:
    """Ask the backend whether a connection whose time is over goes on; it does if the backend cannot be asked."""
    claims = session.claims
    assert claims is not None
    try:
        answer = await session.node.backend.refresh(session.caller())
    except DisconnectRequestedError as wanted:
        session.disconnect(wanted.code)
        return
    except CommandError:
        session.disconnect(codes.CONNECTION_EXPIRED)
        return
    if answer is None:
        answer = Refreshed(session.node.wall_clock() + RENEW_AGAIN_SECONDS)
    if answer.expired:
        session.disconnect(codes.CONNECTION_EXPIRED)
    elif not session.closed:
        session.claims = structs.replace(claims, expires_at=answer.expires_at, info=answer.info or claims.info)


def _result(session: Session, subscriptions: dict[str, SubscribeResult], data: bytes | None) -> ConnectResult:
    node, claims = session.node, session.claims
    assert claims is not None
    expires, ttl = _time_to_live(session, claims)
    return ConnectResult(
        client=session.client,
        version=node.version,
        # An SDK that is told of pings connects again when it sees none, and it does not see those of the transport.
        ping=0 if session.codec.native_pings else max(1, round(node.heartbeat_interval)),
        pong=not session.codec.native_pings and not session.codec.unidirectional,
        expires=expires,
        ttl=ttl,
        data=Raw() if data is None else Raw(data),
        subs=subscriptions,
        session=session.secret,
        node=node.uid if session.secret else "",
    )


def _time_to_live(session: Session, claims: Claims) -> tuple[bool, int]:
    """Whether the client has to renew its token, and in how many seconds."""
    if claims.expires_at is None or claims.renewed_by_hook:
        return False, 0
    return True, session.seconds_until(claims.expires_at)
