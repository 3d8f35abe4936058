"""How a client is let in, and how it stays: the commands connect and refresh."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.auth import Claims, TokenRefusedError
from realtime_server.core.commands import (
    ConnectRequest,
    ConnectResult,
    RefreshRequest,
    RefreshResult,
    SubscribeRequest,
    SubscribeResult,
)
from realtime_server.core.join import Join, Wanted
from realtime_server.core.ports import CommandError

if TYPE_CHECKING:
    from realtime_server.core.session import Session


def connect_now(session: Session, command: int, request: ConnectRequest) -> bool:
    """Let a client in; False when that takes the backplane. Raises CommandError."""
    if session.claims is not None:
        return False  # it is in already, and its channels are to be joined: `connect` goes on
    try:
        claims = session.node.authenticate(request.token)
    except TokenRefusedError as refused:
        if isinstance(refused.code, DisconnectCode):
            session.disconnect(refused.code)
            return True
        raise CommandError(refused.code) from refused
    if not session.node.open(session, claims):
        return True
    if claims.channels:
        return False
    session.reply(command, _result(session, {}))
    return True


async def connect(session: Session, command: int, request: ConnectRequest) -> None:
    """Join the channels of a client that was let in, and answer. Raises CommandError or BackplaneError."""
    assert session.claims is not None
    joined: list[Join] = []
    try:
        for channel in session.claims.channels:
            wanted = request.subs.get(channel, SubscribeRequest())
            joined.append(await session.node.hub.join(session, channel, Wanted.by_client(wanted, assigned=True)))
    except BaseException:
        for join in joined:
            join.abandon()
        raise
    session.reply(command, _result(session, {join.channel: join.result for join in joined}))
    # What came meanwhile must follow the reply, which is written before this task yields.
    for join in joined:
        asyncio.get_running_loop().call_soon(join.complete)


def refresh(session: Session, request: RefreshRequest) -> RefreshResult:
    """Take a new token of the same user. Raises CommandError."""
    try:
        claims = session.node.authenticate(request.token)
    except TokenRefusedError as refused:
        if isinstance(refused.code, DisconnectCode):
            raise CommandError(codes.UNAUTHORIZED) from refused
        raise CommandError(refused.code) from refused
    if session.claims is None or claims.user != session.claims.user:
        raise CommandError(codes.BAD_REQUEST)
    session.claims = claims
    expires, ttl = _time_to_live(session, claims)
    return RefreshResult(session.client, session.node.version, expires, ttl)


def _result(session: Session, subscriptions: dict[str, SubscribeResult]) -> ConnectResult:
    node, claims = session.node, session.claims
    assert claims is not None
    expires, ttl = _time_to_live(session, claims)
    return ConnectResult(
        client=session.client,
        version=node.version,
        ping=max(1, round(node.heartbeat_interval)),
        pong=True,
        expires=expires,
        ttl=ttl,
        subs=subscriptions,
        session=session.client if session.emulated else "",
        node=node.uid if session.emulated else "",
    )


def _time_to_live(session: Session, claims: Claims) -> tuple[bool, int]:
    if claims.expires_at is None:
        return False, 0
    return True, max(1, int(claims.expires_at - session.node.wall_clock()))
