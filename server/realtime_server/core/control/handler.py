"""Handling of requests from other workers, which arrive over the backplane's control channel."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from msgspec import structs

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.channels.hub import Hub
from realtime_server.core.control import messages
from realtime_server.core.control.asks import Asks
from realtime_server.core.control.peers import Peers
from realtime_server.core.control.revoker import Revoker
from realtime_server.core.control.single_connection import SingleConnection
from realtime_server.core.control.survey import Surveys, matching
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.grant import Grant
from realtime_server.core.model.pushes import MessagePush, RefreshPush
from realtime_server.core.operations.subscriptions import Subscriptions
from realtime_server.core.sessions.registry import Action, Registry
from realtime_server.core.sessions.session import Session
from realtime_server.core.tasks import TaskGroup

AboutConnections: TypeAlias = (
    messages.Disconnect | messages.Unsubscribe | messages.Subscribe | messages.Send | messages.Refresh
)
"""Message about a user's connections, or about one."""


class ControlHandler:
    """Handler of control messages for the sessions of one worker. Never raises.

    `uid` names this worker; `send` sends a message to the worker of that name, `announce` announces this one to it.
    """

    def __init__(
        self,
        uid: str,
        registry: Registry,
        hub: Hub,
        subscriptions: Subscriptions,
        revoker: Revoker,
        peers: Peers,
        tasks: TaskGroup,
        single_connection: SingleConnection,
        asks: Asks,
        *,
        send: Callable[[messages.Message, str], Awaitable[None]],
        announce: Callable[[str], Awaitable[None]],
        emulate: Callable[[messages.Emulate], None],
    ) -> None:
        self._uid = uid
        self._registry = registry
        self._hub = hub
        self._subscriptions = subscriptions
        self._revoker = revoker
        self._peers = peers
        self._tasks = tasks
        self._single_connection = single_connection
        self._asks = asks
        self._send = send
        self._announce = announce
        self._emulate = emulate
        self._listeners: dict[str, Callable[[bytes], None]] = {}
        self.surveys = Surveys()

    def listen(self, name: str, listener: Callable[[bytes], None]) -> None:
        """Pass on notices for this name, in the order of their arrival; a listener never raises."""
        self._listeners[name] = listener

    def take(self, message: bytes) -> None:
        """Handle a message; unknown messages, of another release, are ignored."""
        request = messages.decode(message)
        match request:
            case messages.KeepNewest():
                self._single_connection.take(request)
            case messages.Revoke():
                self._revoker.apply([request.revocation])
            case messages.Emulate():
                self._emulate(request)
            case messages.Notice():
                if (listener := self._listeners.get(request.name)) is not None:
                    listener(request.data)
            case messages.Ask() | messages.WithdrawAsk() | messages.Answer():
                self._asks.take(request)
            case messages.AskChannels():
                self._tasks.spawn(self._answer_survey(request), "tell-channels")
            case messages.TellChannels():
                self.surveys.take(request.ident, request.worker, request.channels, complete=request.complete)
            case messages.Announce() | messages.Leave():
                self._note_peer(request)
            case None:
                pass
            case _:
                names = request.client, request.session
                self._registry.apply(request.user, names, self._action_of(request))

    def _note_peer(self, request: messages.Announce | messages.Leave) -> None:
        if isinstance(request, messages.Announce):
            if self._peers.note(request.to_info()) and request.uid != self._uid:
                self._tasks.spawn(self._introduce(request.uid), "introduce")
        else:
            self._peers.forget(request.uid)
            self._asks.check()

    async def _introduce(self, uid: str) -> None:
        """Announce this worker to a new one, which would else not know for a while whom to ask."""
        with contextlib.suppress(BackplaneError):
            await self._announce(uid)

    def _action_of(self, request: AboutConnections) -> Action:
        """Return what is to be done with each connection that a message is about."""
        match request:
            case messages.Disconnect():
                return lambda session: _disconnect(session, request)
            case messages.Unsubscribe():
                return lambda session: session.revoke(request.channel)
            case messages.Subscribe():
                return lambda session: self._subscribe(session, request)
            case messages.Send():
                return lambda session: self._send_message(session, request)
            case messages.Refresh():
                return lambda session: _refresh(session, request)

    def _send_message(self, session: Session, request: messages.Send) -> None:
        """Send a message, after the connect reply: a client does not understand an earlier push."""
        push = MessagePush(request.data, request.binary)
        if session.welcome:
            session.push("", push)
        else:
            self._tasks.spawn(_push_later(session, push), f"send-{session.client}")

    def _subscribe(self, session: Session, request: messages.Subscribe) -> None:
        self._tasks.spawn(self._subscribe_quietly(session, request), f"subscribe-{request.channel}")

    async def _subscribe_quietly(self, session: Session, request: messages.Subscribe) -> None:
        grant = Grant(info=request.info, data=request.data, expires_at=request.expires_at, override=request.override)
        with contextlib.suppress(BackplaneError):
            await self._subscriptions.subscribe_server_side(session, request.channel, grant, request.since)

    async def _answer_survey(self, request: messages.AskChannels) -> None:
        found, complete = matching(request.pattern, self._hub.subscriber_counts())
        answer = messages.TellChannels(request.ident, self._uid, found, complete)
        with contextlib.suppress(BackplaneError):
            await self._send(answer, request.worker)


async def _push_later(session: Session, push: MessagePush) -> None:
    await session.welcomed()
    session.push("", push)


def _disconnect(session: Session, request: messages.Disconnect) -> None:
    if session.client not in request.spared:
        session.disconnect(DisconnectCode(request.code, request.reason))


def _refresh(session: Session, request: messages.Refresh) -> None:
    if request.expired:
        session.disconnect(codes.CONNECTION_EXPIRED)
        return
    if session.claims is None:
        return
    session.renew(structs.replace(session.claims, expires_at=request.expires_at, renewed_by_hook=False))
    if not session.welcome:
        return  # the reply to its connect command will contain the expiry
    if request.expires_at is None:
        session.push("", RefreshPush(expires=False))
    else:
        session.push("", RefreshPush(expires=True, ttl=session.seconds_until(request.expires_at)))
