"""A client's session: takes commands in their order, keeps what the client may do and has subscribed to.

What needs no backplane is answered at once. Everything else waits in a bounded queue that one task per busy session
works off, so that answers come in the order of their commands.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from realtime_server import codes
from realtime_server.codes import DisconnectCode, ErrorCode, UnsubscribeCode
from realtime_server.core.auth import Claims, TokenRefusedError
from realtime_server.core.channel import Channel
from realtime_server.core.commands import (
    PONG,
    ChannelRequest,
    Command,
    ConnectRequest,
    ConnectResult,
    EmptyResult,
    HistoryRequest,
    HistoryResult,
    PresenceResult,
    PresenceStatsResult,
    PublishRequest,
    RefreshRequest,
    RefreshResult,
    Result,
    SubscribeRequest,
    SubscribeResult,
)
from realtime_server.core.namespaces import PRIVATE_PREFIX, PublishPermission
from realtime_server.core.ports import BackplaneError, CommandError, Connection, Wire
from realtime_server.core.tasks import has_failed
from realtime_server.core.values import ClientInfo, HistoryQuery, StreamPosition

if TYPE_CHECKING:
    from realtime_server.core.join import Join
    from realtime_server.core.node import Node

MAX_COMMAND_ID = 2**32 - 1
MAX_QUEUED_COMMANDS = 1024
"""Commands of one connection that may wait for the backplane."""


class Session:
    """One client's session. `client` is its id, `claims` None until it has connected."""

    __slots__ = (
        "__weakref__", "_count", "_queue", "_task", "_window", "claims", "client", "closed", "connection", "node",
        "opened_at", "ping_at", "pong_by", "subscriptions", "wire",
    )  # fmt: skip

    def __init__(self, node: Node, connection: Connection, wire: Wire, client: str, now: float) -> None:
        self.node = node
        self.connection = connection
        self.wire = wire
        self.client = client
        self.claims: Claims | None = None
        self.subscriptions: dict[str, Channel] = {}
        self.opened_at = now
        self.ping_at = 0.0
        self.pong_by = 0.0
        self.closed = False
        self._queue: deque[Command] | None = None
        self._task: asyncio.Task[None] | None = None
        self._window = 0
        self._count = 0

    @property
    def user(self) -> str:
        """The user's id, empty for an anonymous one."""
        return self.claims.user if self.claims is not None else ""

    def is_closed(self) -> bool:
        """Whether it has ended; a method, because taking a command can end it."""
        return self.closed

    def client_info(self) -> ClientInfo:
        """How others see this connection."""
        return ClientInfo(self.user, self.client, self.claims.info if self.claims is not None else None)

    def disconnect(self, code: DisconnectCode) -> None:
        """Close the connection with a code. Idempotent."""
        if not self.closed:
            self.node.counters.disconnects[code.code] += 1
            self.connection.close(code)
            self.on_closed()

    def on_closed(self) -> None:
        """The connection is gone: leave everything. Idempotent."""
        if self.closed:
            return
        self.closed = True
        if self._task is not None:
            self._task.cancel()
        self.node.forget(self)

    def on_message(self, message: bytes, now: float) -> None:
        """Take one message of the client; `now` is monotonic. Never raises: what is wrong closes the connection."""
        if self.closed:
            return
        commands = self.wire.decode(message)
        if not commands:
            self.disconnect(codes.BAD_REQUEST_DISCONNECT)
            return
        if not self._within_rate(len(commands), now):
            self.disconnect(codes.TOO_MANY_REQUESTS_DISCONNECT)
            return
        for command in commands:
            self._take(command)
            if self.claims is None or self.is_closed():
                # Not let in: what was sent along with the refused connect has nobody to act for.
                return

    def on_control(self, now: float) -> None:
        """Count a ping or pong of the transport towards the rate of messages."""
        if not self.closed and not self._within_rate(1, now):
            self.disconnect(codes.TOO_MANY_REQUESTS_DISCONNECT)

    def end_subscription(self, channel: str, code: UnsubscribeCode) -> None:
        """Unsubscribe the client and tell it. Idempotent.

        One that must subscribe again cannot do so where its token subscribed it: it has to connect again.
        """
        assigned = self.claims is not None and channel in self.claims.channels
        if assigned and code is codes.UNSUBSCRIBED_INSUFFICIENT_STATE:
            self.disconnect(codes.INSUFFICIENT_STATE)
            return
        ended = self.subscriptions.pop(channel, None)
        if ended is not None:
            self.connection.write(self.wire.unsubscribed(channel, code))
            self.node.leave(self, ended)

    def _within_rate(self, commands: int, now: float) -> bool:
        window = int(now)
        if window != self._window:
            self._window, self._count = window, 0
        self._count += commands
        # A client that comes back sends its connect and all its subscriptions at once: those have a limit of their own.
        allowance = self.node.limits.channels_per_connection if now - self.opened_at < 2 else 0
        return self._count <= self.node.limits.messages_per_second + allowance

    def _take(self, command: Command) -> None:
        if command == PONG:
            if self.pong_by:
                self.pong_by = 0.0
            else:
                self.disconnect(codes.BAD_REQUEST_DISCONNECT)
            return
        if not self._is_legal(command):
            self.disconnect(codes.BAD_REQUEST_DISCONNECT)
            return
        if self._queue is None and self._answer_now(command):
            return
        if self._queue is None:
            self._queue = deque()
        if len(self._queue) >= MAX_QUEUED_COMMANDS:
            self.disconnect(codes.TOO_MANY_REQUESTS_DISCONNECT)
            return
        self._queue.append(command)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work(), name=f"session-{self.client}")
            self._task.add_done_callback(self._on_task_done)

    def _is_legal(self, command: Command) -> bool:
        if not 0 <= command.id <= MAX_COMMAND_ID or command.ping is not None:
            return False
        if command.send is not None:
            return self.claims is not None
        if command.id == 0:
            return False
        return (command.connect is not None) == (self.claims is None)

    def _answer_now(self, command: Command) -> bool:
        """Answer what needs no backplane; False for everything else."""
        try:
            if command.connect is not None:
                return self._connect(command.id, command.connect)
            if command.refresh is not None:
                self._reply(command.id, self._refresh(command.refresh))
                return True
        except CommandError as error:
            self._fail(command.id, error.error)
            return True
        if command.rpc is not None or command.sub_refresh is not None:
            self._fail(command.id, codes.NOT_AVAILABLE)
            return True
        return command.send is not None

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        if has_failed(task):
            self.disconnect(codes.SERVER_ERROR)

    async def _work(self) -> None:
        queue = self._queue
        assert queue is not None
        try:
            while queue and not self.closed:
                await self._answer(queue[0])
                queue.popleft()
        finally:
            self._task = None
            self._queue = None

    async def _answer(self, command: Command) -> None:
        try:
            if not self._answer_now(command):
                result = await self._perform(command)
                if not self.closed and result is not None:
                    self._reply(command.id, result)
        except CommandError as error:
            self._fail(command.id, error.error)
        except BackplaneError:
            self._fail(command.id, codes.INTERNAL)

    async def _perform(self, command: Command) -> Result | None:
        if command.publish is not None:
            return await self._publish(command.publish)
        if command.subscribe is not None:
            await self._subscribe(command.id, command.subscribe)
            return None
        if command.connect is not None:
            return await self._connect_with_channels(command.connect)
        if command.unsubscribe is not None:
            return self._unsubscribe(command.unsubscribe)
        if command.history is not None:
            return await self._history(command.history)
        if command.presence is not None:
            self._require_subscription(command.presence.channel)
            return PresenceResult(dict(await self.node.presence(command.presence.channel)))
        if command.presence_stats is not None:
            self._require_subscription(command.presence_stats.channel)
            stats = await self.node.presence_stats(command.presence_stats.channel)
            return PresenceStatsResult(stats.clients, stats.users)
        raise CommandError(codes.METHOD_NOT_FOUND)

    def _reply(self, command: int, result: Result) -> None:
        self.connection.write(self.wire.reply(command, result))

    def _fail(self, command: int, error: ErrorCode) -> None:
        self.node.counters.command_errors[error.code] += 1
        if not self.closed:
            self.connection.write(self.wire.error(command, error))

    # connect and refresh

    def _connect(self, command: int, request: ConnectRequest) -> bool:
        if self.claims is not None:
            return False
        try:
            claims = self.node.authenticate(request.token)
        except TokenRefusedError as refused:
            if isinstance(refused.code, DisconnectCode):
                self.disconnect(refused.code)
                return True
            raise CommandError(refused.code) from refused
        self.claims = claims
        self.node.open(self)
        if claims.channels:
            return False
        self._reply(command, self._connected({}))
        return True

    async def _connect_with_channels(self, request: ConnectRequest) -> Result:
        assert self.claims is not None
        joined: list[Join] = []
        try:
            for channel in self.claims.channels:
                wanted = request.subs.get(channel, SubscribeRequest())
                joined.append(await self.node.join(self, channel, wanted))
        except BaseException:
            for join in joined:
                join.abandon()
            raise
        result = self._connected({join.channel: join.result for join in joined})
        # What came meanwhile must follow the reply, which is written before this task yields.
        for join in joined:
            asyncio.get_running_loop().call_soon(join.complete)
        return result

    def _connected(self, subscriptions: dict[str, SubscribeResult]) -> ConnectResult:
        expires, ttl = self._time_to_live()
        ping = round(self.node.heartbeat_interval)
        return ConnectResult(self.client, self.node.version, max(1, ping), True, expires, ttl, subscriptions)

    def _refresh(self, request: RefreshRequest) -> Result:
        try:
            claims = self.node.authenticate(request.token)
        except TokenRefusedError as refused:
            if isinstance(refused.code, DisconnectCode):
                raise CommandError(codes.UNAUTHORIZED) from refused
            raise CommandError(refused.code) from refused
        if self.claims is None or claims.user != self.claims.user:
            raise CommandError(codes.BAD_REQUEST)
        self.claims = claims
        expires, ttl = self._time_to_live()
        return RefreshResult(self.client, self.node.version, expires, ttl)

    def _time_to_live(self) -> tuple[bool, int]:
        assert self.claims is not None
        if self.claims.expires_at is None:
            return False, 0
        return True, max(1, int(self.claims.expires_at - self.node.wall_clock()))

    # channels

    def _require_subscription(self, channel: str) -> None:
        if self.node.options_of(channel) is None:
            raise CommandError(codes.UNKNOWN_CHANNEL)
        if channel not in self.subscriptions:
            raise CommandError(codes.PERMISSION_DENIED)

    async def _subscribe(self, command: int, request: SubscribeRequest) -> None:
        if request.type:
            raise CommandError(codes.NOT_AVAILABLE)
        if self.node.options_of(request.channel) is None:
            raise CommandError(codes.UNKNOWN_CHANNEL)
        if request.channel.startswith(PRIVATE_PREFIX):
            raise CommandError(codes.PERMISSION_DENIED)
        if request.channel in self.subscriptions:
            raise CommandError(codes.ALREADY_SUBSCRIBED)
        if len(self.subscriptions) >= self.node.limits.channels_per_connection:
            raise CommandError(codes.LIMIT_EXCEEDED)
        join = await self.node.join(self, request.channel, request)
        if not self.closed:
            self._reply(command, join.result)
        join.complete()

    def _unsubscribe(self, request: ChannelRequest) -> Result:
        channel = self.subscriptions.pop(request.channel, None)
        if channel is not None:
            self.node.leave(self, channel)
        return EmptyResult("unsubscribe")

    async def _publish(self, request: PublishRequest) -> Result:
        options = self.node.options_of(request.channel)
        if options is None:
            raise CommandError(codes.UNKNOWN_CHANNEL)
        if request.type or request.key or request.removed:
            raise CommandError(codes.NOT_AVAILABLE)
        if not bytes(request.data):
            raise CommandError(codes.BAD_REQUEST)
        subscribed = request.channel in self.subscriptions
        if options.publish is PublishPermission.NOBODY or (
            options.publish is PublishPermission.SUBSCRIBERS and not subscribed
        ):
            raise CommandError(codes.PERMISSION_DENIED)
        await self.node.publish_from(self.client_info(), request.channel, bytes(request.data))
        return EmptyResult("publish")

    async def _history(self, request: HistoryRequest) -> Result:
        self._require_subscription(request.channel)
        since = StreamPosition(request.since.offset, request.since.epoch) if request.since is not None else None
        page = await self.node.history(request.channel, HistoryQuery(request.limit, since, request.reverse))
        return HistoryResult(page)
