"""Session of a plain client: it is let in by its request, and every message of it selects an action.

Messages are handled one after the other, so that replies have their order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from realtime_server import codes
from realtime_server.codes import DisconnectCode, ErrorCode
from realtime_server.core.auth.claims import Claims
from realtime_server.core.channels.join import Join, Wanted
from realtime_server.core.commands.unidirectional import disconnect_of
from realtime_server.core.model.channel_options import RecoveryMode
from realtime_server.core.model.errors import BackplaneError, CommandError, DisconnectRequestedError
from realtime_server.core.model.grant import PLAIN, Grant
from realtime_server.core.model.pushes import Push
from realtime_server.core.model.values import StreamPosition
from realtime_server.core.node import Operations
from realtime_server.core.ports.backend import Connecting, Disconnected, TransportInfo
from realtime_server.core.ports.client import Connection
from realtime_server.core.ports.route_hooks import Opened, RouteHooks, RouteMessage
from realtime_server.core.sessions.queueing_session import QueueingSession
from realtime_server.core.sessions.session import SessionContext
from realtime_server.protocols.channel_templates import PlaceholderError
from realtime_server.protocols.plain import route as closing
from realtime_server.protocols.plain.codec import PlainCodec
from realtime_server.protocols.plain.epochs import Epochs
from realtime_server.protocols.plain.request import RouteRequest
from realtime_server.protocols.plain.resumption import Resumption
from realtime_server.protocols.plain.route import PublishAction, Route
from realtime_server.protocols.plain.selection import CONNECT, DEFAULT, DISCONNECT, Selected
from realtime_server.protocols.plain.template import ChannelTemplate

MOVES = frozenset({codes.SHUTDOWN, codes.FORCE_RECONNECT})
"""Codes with which connections are moved to other servers."""


@dataclass(frozen=True, slots=True)
class RouteService:
    """Route with what its sessions use: operations, hooks and epochs, shared by all of a worker.

    `recovery_of` returns the recovery of a channel, None for a channel without.
    """

    route: Route
    operations: Operations
    hooks: RouteHooks
    epochs: Epochs
    message_bytes: int
    recovery_of: Callable[[str], RecoveryMode | None]


class _Message(NamedTuple):
    payload: bytes
    selected: Selected

    @property
    def size(self) -> int:
        return len(self.payload)


class PlainSession(QueueingSession[_Message]):
    """Session of one client on a route. Call `begin` once, after the construction."""

    __slots__ = ("_entering", "_opened", "_request", "_resumption", "_service", "_targets")

    codec: PlainCodec
    pause_at = 16

    def __init__(
        self,
        service: RouteService,
        request: RouteRequest,
        resumption: Resumption | None,
        context: SessionContext,
        connection: Connection,
        codec: PlainCodec,
        client: str,
        transport: TransportInfo,
    ) -> None:
        super().__init__(context, connection, codec, client, transport)
        self._service = service
        self._request: RouteRequest | None = request
        self._resumption = resumption
        self._targets: dict[str, tuple[str, bool]] = {}
        """Channels that messages are published to, and whether they are granted, by action."""
        self._entering = True
        self._opened = False
        """True when the backend has to be told the end of the connection."""

    # coming in

    def begin(self) -> None:
        """Let the client in, at once if nothing has to be waited for."""
        assert self._request is not None
        entry = self._service.operations.entry
        if entry.limits_connects and not entry.has_capacity(resumes=self._resumption is not None):
            self.disconnect(codes.TOO_MANY_REQUESTS_DISCONNECT)
        elif self._service.operations.immediate and not entry.has_remote_keys:
            self._run_now(self._enter_or_leave(self._request))
        else:
            self._start_worker()

    async def _enter_or_leave(self, request: RouteRequest) -> None:
        try:
            await self._enter(request)
        except CommandError as refused:
            self._refuse(disconnect_of(refused.error), refused.error.code)
        except DisconnectRequestedError as wanted:
            self.disconnect(wanted.code)
        except PlaceholderError as error:
            self._refuse(DisconnectCode(codes.PERMISSION_DENIED_DISCONNECT.code, str(error)), None)
        except BackplaneError:
            self._refuse(codes.SERVER_ERROR, codes.INTERNAL.code)
        finally:
            self._entering = False
            self._request = None  # nothing of it, nor of its token, is needed any more

    def _refuse(self, code: DisconnectCode, error: int | None) -> None:
        if error is not None:
            self._context.counters.command_errors[error] += 1
        self.disconnect(code)

    async def _enter(self, request: RouteRequest) -> None:
        """Admit the client, ask the backend, and subscribe. Raises what a refusal raises."""
        service, route = self._service, self._service.route
        entry = service.operations.entry
        claims = await self._identified(request)
        if self.closed or not entry.admit(self, claims):
            return
        self._targets = route.targets(request, claims)
        channels = route.channels(request, claims)
        reply = await self._announced(Opened(request.path, request.query, tuple(channels)))
        if self.is_closed():
            return
        joined = await self._joined(channels)
        if self.is_closed():
            for join in joined:
                join.abandon()
            return
        self.mark_welcome()
        self._write(self.codec.welcome())
        written = 0
        for join in joined:
            written += self._complete(join, written)
        if reply and not self.closed:
            self.connection.write(self.codec.message(reply, None))
        service.operations.on_connected(self)

    async def _identified(self, request: RouteRequest) -> Claims:
        entry = self._service.operations.entry
        token = request.token(self._service.route.token_cookie)
        if entry.has_remote_keys and entry.lacks_key(token):
            await entry.fetch_key(token)
        if not entry.asks_backend(token):
            return entry.authenticate(token)
        claims, _ = await entry.identify(self, Connecting(self.caller(), b"", "", "", ()), token)
        return claims

    async def _announced(self, opened: Opened) -> bytes:
        """Ask the backend about the connection where the route says so, and return its reply. Raises CommandError.

        A connection that ends meanwhile is reported: the backend may have taken it for open.
        """
        route, hooks = self._service.route, self._service.hooks
        self._opened = DISCONNECT in route.actions
        if CONNECT not in route.actions:
            return b""
        try:
            return await hooks.connect(route.name, self.caller(), opened)
        except CommandError as refused:
            self._opened = False
            if refused.error.temporary or refused.error is codes.UNAUTHORIZED:
                raise
            raise CommandError(codes.PERMISSION_DENIED) from refused  # whatever the backend has against it

    async def _joined(self, channels: dict[str, ChannelTemplate]) -> list[Join]:
        subscriptions = self._service.operations.subscriptions
        subscriptions.require_room(len(channels))
        wanted: dict[str, tuple[Wanted, Grant]] = {}
        for channel, template in channels.items():
            subscriptions.require_known(channel)
            grant = PLAIN
            if not template.grants:
                grant = await subscriptions.grant(self, channel, data=b"", token="")
            wanted[channel] = self._wanted(channel), grant
        granted = [channel for channel, template in channels.items() if template.grants]
        return await subscriptions.join_all(self, wanted, own=granted)

    def _wanted(self, channel: str) -> Wanted:
        """Return what to ask for: what was missed since the position; of a cached channel the newest value anyway."""
        mode, position = self._service.recovery_of(channel), self._position_in(channel)
        if mode is None or (position is None and mode is RecoveryMode.STREAM):
            return Wanted(server_side=True)
        position = position or StreamPosition(0, "")
        return Wanted(recover=True, offset=position.offset, epoch=position.epoch, server_side=True)

    def _position_in(self, channel: str) -> StreamPosition | None:
        """Return the position in a channel that the client resumes from, None for none."""
        return None if self._resumption is None else self._resumption.of(channel)

    def _complete(self, join: Join, written: int) -> int:
        """Write the beginning of a subscription and what was missed, and deliver from now on.

        Return the bytes of what was missed; that of all channels together may be as much as a reply.
        """
        codec, channel, epochs = self.codec, join.channel, self._service.epochs
        with epochs.joining(channel, join.result.epoch):
            missed = self.encode_missed(join, written)
            result = join.result
            asked = result.was_recovering and self._position_in(channel) is not None
            recovered = result.recovered if asked else None
            self._write(codec.subscribed(channel, join.push(), recovered=recovered))
            for frames in missed:
                self.connection.write(frames)
            join.complete()
        return sum(map(len, missed))

    # what the client sends

    def on_text(self, payload: bytes, now: float) -> None:
        """See Session."""
        if self._service.route.binary:
            self.disconnect(closing.TEXT_UNWANTED)
        else:
            self._take(payload, now)

    def on_binary(self, payload: bytes, now: float) -> None:
        """See Session."""
        if not self._service.route.binary:
            self.disconnect(closing.BINARY_UNWANTED)
        else:
            self._take(payload, now)

    def _take(self, payload: bytes, now: float) -> None:
        if self.closed:
            return
        if self._pong is not None:
            self._pong.postpone(now)  # the client is alive, and its pong may be queued behind what it sends
        if len(payload) > self._service.message_bytes:
            self.disconnect(closing.TOO_BIG)
            return
        message = _Message(payload, self._service.route.selection.select(payload))
        at_once = self._queue is None and self._used_until <= now and self._service.operations.immediate
        if at_once and not self._entering:
            self._charge(now)
            self._run_now(self._handle_or_fail(message))
        else:
            self._enqueue(message, now)

    async def _process(self, queue: deque[_Message]) -> None:
        """See QueueingSession; lets the client in before."""
        if self._request is not None:
            await self._enter_or_leave(self._request)
        while not self.closed:
            await self._wait_for_rate()
            if not queue:
                return
            await self._handle_or_fail(queue[0])
            self._remove_first(queue)

    # what it does

    async def _handle_or_fail(self, message: _Message) -> None:
        selected = message.selected
        try:
            await self._handle(message)
        except CommandError as failed:
            self._fail(failed.error, failed.why or self._why(failed.error, selected), selected)
        except DisconnectRequestedError as wanted:
            self.disconnect(wanted.code)
        except BackplaneError:
            self._fail(codes.INTERNAL, "", selected)

    async def _handle(self, message: _Message) -> None:
        """Do what a message selects, and reply. Raises CommandError, DisconnectRequestedError or BackplaneError."""
        service, selected = self._service, message.selected
        actions = service.route.actions
        key = selected.key if selected.key in actions else DEFAULT
        action = actions.get(key)
        if action is None:
            raise CommandError(codes.METHOD_NOT_FOUND, service.route.why_no_action(selected))
        if isinstance(action, PublishAction):
            channel, granted = self._targets[key]
            publishing = service.operations.publishing
            binary = selected.is_json is not True  # else it was found to be JSON, and need not be read again
            await publishing.publish(self, channel, message.payload, binary=binary, granted=granted)
            reply = b""
        else:
            sent = RouteMessage(key, message.payload, service.route.binary, selected.is_json is True)
            reply = await service.hooks.message(service.route.name, self.caller(), sent)
        if not self.is_closed():
            codec = self.codec
            self._write(codec.message(reply, selected.ident) if reply else codec.done(selected.ident))

    def _why(self, error: ErrorCode, selected: Selected) -> str:
        """Return what an error means for a message that would be published, "" where the code says enough."""
        actions = self._service.route.actions
        key = selected.key if selected.key in actions else DEFAULT
        if error is codes.PERMISSION_DENIED and isinstance(actions.get(key), PublishAction):
            return f"permission denied: this client may not publish in {self._targets[key][0]}"
        return ""

    def _fail(self, error: ErrorCode, why: str, selected: Selected) -> None:
        """Send an error; without an envelope the client would take it for data, and is disconnected instead."""
        self._context.counters.command_errors[error.code] += 1
        if self.closed:
            return
        frames = self.codec.error(error, why, selected.ident)
        if frames:
            self.connection.write(frames)
        elif error is codes.METHOD_NOT_FOUND and selected.is_json is False and not self._service.route.binary:
            self.disconnect(closing.NOT_JSON)
        elif error.temporary:
            self.disconnect(closing.FAILED)
        else:
            self.disconnect(DisconnectCode(closing.REFUSED, why or error.message))

    # what the client gets, and the end

    def push(self, channel: str, push: Push) -> None:
        """See Session; what the route does not tell its clients is left out."""
        if not self.closed:
            self._write(self.codec.push(channel, push))

    def disconnect(self, code: DisconnectCode) -> None:
        """See Session. A connection that is moved is closed with the code for that of RFC 6455's registry."""
        if not self.closed:
            self._context.counters.disconnects[code.code] += 1
            self.connection.close(closing.RESTART if code in MOVES else code)
            self.on_closed(code)

    def on_closed(self, code: DisconnectCode = codes.CONNECTION_CLOSED) -> None:
        """See Session; tells the backend where the route says so."""
        if self.closed:
            return
        if self._opened:
            seconds = self._context.clock() - self.opened_at
            event = Disconnected(self.client, self.user, code.code, code.reason, seconds)
            self._service.hooks.disconnected(self._service.route.name, self.caller(), event)
        super().on_closed(code)

    def _write(self, frames: bytes) -> None:
        if frames:
            self.connection.write(frames)
