"""Commands connect and refresh."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from msgspec import Raw

from realtime_server import codes
from realtime_server.core.auth.claims import Claims
from realtime_server.core.channels.join import Join, Wanted
from realtime_server.core.commands.replying_session import ReplyingSession
from realtime_server.core.commands.subscribe import require_plain, wanted_by
from realtime_server.core.model.commands import (
    ConnectRequest,
    ConnectResult,
    RefreshRequest,
    RefreshResult,
    SubscribeRequest,
    SubscribeResult,
)
from realtime_server.core.model.errors import BackplaneError, CommandError, DisconnectRequestedError
from realtime_server.core.model.grant import PLAIN, Grant
from realtime_server.core.operations.entry import Entry
from realtime_server.core.operations.refreshed import RefreshedSubscriptions
from realtime_server.core.operations.subscriptions import Subscriptions
from realtime_server.core.ports.backend import Connecting


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """Server properties that clients receive. `heartbeat_interval`: seconds between pings; `node`: the worker's uid."""

    version: str
    node: str
    heartbeat_interval: float


class ConnectHandler:
    """Handler of the commands connect and refresh for all sessions of a worker.

    `on_connected` is called with each session that has got channels along with its connection.
    """

    def __init__(
        self,
        server: ServerInfo,
        entry: Entry,
        subscriptions: Subscriptions,
        refreshed: RefreshedSubscriptions,
        on_connected: Callable[[ReplyingSession], None],
    ) -> None:
        self._server = server
        self._entry = entry
        self._subscriptions = subscriptions
        self._on_connected = on_connected
        self._refreshed = refreshed

    def connect_now(self, session: ReplyingSession, command: int, request: ConnectRequest) -> bool:
        """Handle a connect command, if neither backplane nor backend is needed; return False otherwise.

        Raises CommandError.
        """
        if session.claims is not None or self._entry.asks_backend(request.token):
            return False
        try:
            claims = self._entry.authenticate(request.token)
        except DisconnectRequestedError as refused:
            session.disconnect(refused.code)
            return True
        if not self._entry.admit(session, claims):
            return True
        if claims.channels or (session.codec.unidirectional and request.subs):
            return False  # channels are to be joined, which `connect` does
        reply_to_connect(session, command, self._result(session, claims, {}, None))
        return True

    async def connect(self, session: ReplyingSession, command: int, request: ConnectRequest) -> None:
        """Handle a connect command that `connect_now` has left: ask the backend, join the channels, reply.

        Raises CommandError, DisconnectRequestedError or BackplaneError.
        """
        data = None
        try:
            if session.claims is None:
                who, data = await self._entry.identify(session, _question(session, request), request.token)
                if session.closed or not self._entry.admit(session, who):
                    return
            joined = await self._joined(session, request)
        except (CommandError, BackplaneError):
            self._entry.undo_admission(session)
            raise
        claims = session.claims
        assert claims is not None
        if not reply_to_connect(session, command, self._result(session, claims, _results(joined), data)):
            for join in joined:
                join.drop_recovery()
            if not reply_to_connect(session, command, self._result(session, claims, _results(joined), data)):
                session.disconnect(codes.SERVER_ERROR)  # the data of the backend alone exceeds the size of a reply
        # What arrived meanwhile follows the reply.
        for join in joined:
            join.complete()
        self._on_connected(session)

    async def _joined(self, session: ReplyingSession, request: ConnectRequest) -> list[Join]:
        """Prepare the subscriptions that the client gets with its connection, see `Subscriptions.join_all`.

        They are those of its claims and, for a client that can send no other command, those that it asks for.
        """
        claims = session.claims
        assert claims is not None
        grants = claims.grants or {}
        wanted = {
            name: (wanted_by(request.subs.get(name, SubscribeRequest()), server_side=True), grants.get(name, PLAIN))
            for name in claims.channels
        }
        self._subscriptions.require_room(len(wanted))
        if session.codec.unidirectional:
            wanted |= await self._requested(session, request, known=wanted.keys())
        return await self._subscriptions.join_all(session, wanted, own=claims.channels)

    async def _requested(
        self, session: ReplyingSession, request: ConnectRequest, known: Collection[str]
    ) -> dict[str, tuple[Wanted, Grant]]:
        """Return the channels of a connect command with their grants. Raises when the client may not have one."""
        channels = [channel for channel in request.subs if channel not in known]
        self._subscriptions.require_room(len(channels) + len(known))
        wanted = {}
        for channel in channels:
            asked = request.subs[channel]
            require_plain(asked)
            self._subscriptions.require_known(channel)
            grant = await self._subscriptions.grant(session, channel, data=bytes(asked.data), token=asked.token)
            wanted[channel] = wanted_by(asked, server_side=True), grant
        return wanted

    def refresh(self, session: ReplyingSession, command: int, request: RefreshRequest) -> None:
        """Handle a new token of the same user: reply, then adjust the subscriptions to its claims.

        Raises CommandError or DisconnectRequestedError.
        """
        claims, before = self._entry.refreshed_claims(session, request.token), session.claims
        self._refreshed.require(claims, before)
        session.renew(claims)
        expires, ttl = _time_to_live(session, claims)
        session.reply(command, RefreshResult(session.client, self._server.version, expires, ttl))
        self._refreshed.follow(session, before)

    def _result(
        self, session: ReplyingSession, claims: Claims, subscriptions: dict[str, SubscribeResult], data: bytes | None
    ) -> ConnectResult:
        expires, ttl = _time_to_live(session, claims)
        codec = session.codec
        return ConnectResult(
            client=session.client,
            version=self._server.version,
            # An SDK reconnects when it is promised pings and sees none; it does not see those of the transport.
            ping=0 if codec.native_pings else max(1, round(self._server.heartbeat_interval)),
            pong=not codec.native_pings and not codec.unidirectional,
            expires=expires,
            ttl=ttl,
            data=Raw() if data is None else Raw(data),
            subs=subscriptions,
            session=session.secret,
            node=self._server.node if session.secret else "",
        )


def reply_to_connect(session: ReplyingSession, command: int, result: ConnectResult) -> bool:
    """Reply to a connect command, see `Session.reply_within`; return False when the reply is too large.

    After the reply the client may receive pushes.
    """
    fits = session.reply_within(command, result)
    if fits:
        session.mark_welcome()
    return fits


def _question(session: ReplyingSession, request: ConnectRequest) -> Connecting:
    return Connecting(
        session.caller(), bytes(request.data), request.name, request.version, tuple(request.subs), request.headers
    )


def _results(joined: list[Join]) -> dict[str, SubscribeResult]:
    return {join.channel: join.result for join in joined}


def _time_to_live(session: ReplyingSession, claims: Claims) -> tuple[bool, int]:
    """Return whether the client has to renew its token, and the seconds until then."""
    if claims.expires_at is None or claims.renewed_by_hook:
        return False, 0
    return True, session.seconds_until(claims.expires_at)
