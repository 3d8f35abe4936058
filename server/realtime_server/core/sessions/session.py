"""A client's session: takes commands in their order, keeps what the client may do and has subscribed to.

What needs no backplane is answered at once. Everything else waits in a bounded queue that one task per busy session
works off, so that answers come in the order of their commands.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from msgspec import Raw, structs

from realtime_server import codes
from realtime_server.codes import DisconnectCode, ErrorCode, UnsubscribeCode
from realtime_server.core.auth.claims import Claims
from realtime_server.core.channels.subscription import Subscription
from realtime_server.core.commands import connect, history, publish, rpc, subscribe
from realtime_server.core.limits.limit import Limit
from realtime_server.core.model.commands import PONG, Command, ConnectResult, Result, SubscribeResult
from realtime_server.core.model.errors import BackplaneError, CommandError, DisconnectRequestedError
from realtime_server.core.model.grant import Grant
from realtime_server.core.model.namespaces import SlowConsumer
from realtime_server.core.model.publication import Content
from realtime_server.core.model.pushes import Push, UnsubscribePush
from realtime_server.core.model.values import ClientInfo
from realtime_server.core.ports.backend import Caller, Disconnected, TransportInfo
from realtime_server.core.ports.client import Codec, Connection
from realtime_server.core.sessions.held import Held
from realtime_server.core.sessions.unidirectional import disconnect_of
from realtime_server.core.tasks import has_failed, run_now

if TYPE_CHECKING:
    from realtime_server.core.node import Node

MAX_COMMAND_ID = 2**32 - 1
MAX_TTL_SECONDS = 2**31 - 1
MAX_QUEUED_COMMANDS = 1024
"""Commands of one connection that may wait for the backplane; their bytes are limited too."""


class Session:
    """One client's session. `client` is its id, `claims` None until it has connected.

    `secret`: the connection carries only what the client receives, its commands come by other ways and show this;
    "" where they come by the connection. It is not `client`, which others in a channel may see.
    """

    __slots__ = (
        "__weakref__",
        "_count",
        "_held",
        "_queue",
        "_task",
        "_waiting",
        "_welcomed",
        "_window",
        "claims",
        "client",
        "closed",
        "codec",
        "connection",
        "expiring",
        "node",
        "opened_at",
        "ping_at",
        "pong_by",
        "secret",
        "subscriptions",
        "transport",
        "welcome",
    )  # fmt: skip

    def __init__(
        self,
        node: Node,
        connection: Connection,
        codec: Codec,
        client: str,
        now: float,
        transport: TransportInfo,
        *,
        secret: str = "",
    ) -> None:
        self.node = node
        self.connection = connection
        self.codec = codec
        self.client = client
        self.transport = transport
        self.secret = secret
        self.claims: Claims | None = None
        self.subscriptions: dict[str, Subscription] = {}
        self.opened_at = now
        self.ping_at = 0.0
        self.pong_by = 0.0
        self.closed = False
        self.expiring = False
        """Whether one of the subscriptions ends at some time."""
        self.welcome = False
        """Whether the client was told that it is in. Before that an SDK does not understand a push."""
        self._welcomed: asyncio.Event | None = None
        self._queue: deque[tuple[Command, int]] | None = None
        self._task: asyncio.Task[None] | None = None
        self._held: Held | None = None
        self._window = 0
        self._count = 0
        self._waiting = 0

    @property
    def user(self) -> str:
        """The user's id, empty for an anonymous one."""
        return self.claims.user if self.claims is not None else ""

    def has_name(self, name: str) -> bool:
        """Whether this is the id of the connection, or what it was told as its session."""
        return name in {self.client, self.secret}

    def is_closed(self) -> bool:
        """Whether it has ended; a method, because taking a command can end it."""
        return self.closed

    def client_info(self, channel_info: bytes | None = None) -> ClientInfo:
        """How others see this connection; `channel_info` is what its subscription adds."""
        info = self.claims.info if self.claims is not None else None
        return ClientInfo(self.user, self.client, info, channel_info)

    def info_in(self, channel: str) -> ClientInfo | None:
        """See Subscriber."""
        subscription = self.subscriptions.get(channel)
        if subscription is None or not subscription.present:
            return None
        return self.client_info(subscription.info)

    def disconnect(self, code: DisconnectCode) -> None:
        """Close the connection with a code. Idempotent."""
        if not self.closed:
            self.node.counters.disconnects[code.code] += 1
            self.connection.close(code)
            self.on_closed(code)

    def on_closed(self, code: DisconnectCode = codes.CONNECTION_CLOSED) -> None:
        """The connection is gone: leave everything. Idempotent."""
        if self.closed:
            return
        if code is not codes.STALE or self._begun:  # one that never said anything has not tried to connect
            self.note_unanswered(code.code)
        self.closed = True
        self._held = None
        if self._welcomed is not None:
            self._welcomed.set()
        if self._task is not None:
            self._task.cancel()
        if self.claims is not None:
            connected = self.node.clock() - self.opened_at
            self.node.backend.emit(Disconnected(self.client, self.user, code.code, code.reason, connected))
        self.node.forget(self)

    def note_unanswered(self, code: int) -> None:
        """Count a connect that ends with this code, if the client has not been let in."""
        if not self.welcome:
            self.node.counters.count_failed_connect(code)

    def caller(self) -> Caller:
        """How the backend is told of this connection."""
        meta = self.claims.meta if self.claims is not None else None
        return Caller(self.client, self.user, self.transport, meta)

    # what the client sends

    def on_message(self, message: bytes, now: float) -> None:
        """Take one message of the client; `now` is monotonic. Never raises: what is wrong closes the connection."""
        if self.closed:
            return
        commands = self.codec.decode(message)
        if not commands:
            self.disconnect(codes.BAD_REQUEST_DISCONNECT)
            return
        if not self._within_rate(len(commands), now):
            self._end_flood(Limit.MESSAGES_PER_SECOND)
            return
        first = commands[0]
        if first.connect is not None and self.claims is None and not self.node.admits(commands):
            self.fail(first.id, codes.TOO_MANY_REQUESTS)
            return
        if len(commands) == 1:
            self._take(first, len(message))
            return
        size = len(message) // len(commands)
        for command in commands:
            self._take(command, size)
            if self.is_closed() or not self._begun:
                # Not let in: what was sent along with the refused connect has nobody to act for.
                return

    def on_control(self, now: float) -> None:
        """Count a ping or pong of the transport towards the rate of messages."""
        if not self.closed and not self._within_rate(1, now):
            self._end_flood(Limit.MESSAGES_PER_SECOND)

    def on_pong(self) -> None:
        """The transport's answer to a ping of its own. One that was not asked for means nothing (RFC 6455, 5.5.3)."""
        if self.codec.native_pings:
            self.pong_by = 0.0

    def _within_rate(self, commands: int, now: float) -> bool:
        window = int(now)
        if window != self._window:
            self._window, self._count = window, 0
        self._count += commands
        # A client that comes back sends its connect and all its subscriptions at once: those have a limit of their own.
        allowance = self.node.limits.channels_per_connection if now - self.opened_at < 2 else 0
        return self._count <= self.node.limits.messages_per_second + allowance

    def _end_flood(self, limit: Limit) -> None:
        self.node.counters.limits[limit] += 1
        self.disconnect(codes.TOO_MANY_REQUESTS_DISCONNECT)

    def _take(self, command: Command, size: int) -> None:
        if command == PONG:
            if self.pong_by and not self.codec.native_pings:
                self.pong_by = 0.0
            else:
                self.disconnect(codes.BAD_REQUEST_DISCONNECT)
            return
        if not self._is_legal(command):
            self.disconnect(codes.BAD_REQUEST_DISCONNECT)
            return
        if self._queue is None and self._finish_now(command):
            return
        if self._queue is None:
            self._queue = deque()
        self._waiting += size
        if len(self._queue) >= MAX_QUEUED_COMMANDS or self._waiting > self.node.limits.outbox_bytes:
            self._end_flood(Limit.WAITING_COMMANDS)
            return
        self._queue.append((command, size))
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._work(), name=f"session-{self.client}")
            self._task.add_done_callback(self._on_task_done)

    def _finish_now(self, command: Command) -> bool:
        """Answer what waits for nothing; False for everything else."""
        if self.node.lacks_key(command):
            return False
        return self._answer_now(command) or self._perform_now(command)

    @property
    def _begun(self) -> bool:
        """Whether the client is in, or its connect waits for an answer."""
        return self.claims is not None or self._queue is not None

    def _is_legal(self, command: Command) -> bool:
        if not 0 <= command.id <= MAX_COMMAND_ID or command.ping is not None:
            return False
        if command.send is not None:
            return self._begun
        if command.id == 0:
            return False
        return (command.connect is not None) != self._begun

    def _answer_now(self, command: Command) -> bool:
        """Answer what needs no backplane; False for everything else."""
        try:
            if command.connect is not None:
                return connect.connect_now(self, command.id, command.connect)
            if command.refresh is not None:
                self.reply(command.id, connect.refresh(self, command.refresh))
                return True
            if command.sub_refresh is not None:
                self.reply(command.id, subscribe.refresh(self, command.sub_refresh))
                return True
            if command.rpc is not None:
                return rpc.refused(self, command.id)
        except CommandError as error:
            self.fail(command.id, error.error)
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
                command, size = queue[0]
                if self.node.lacks_key(command):
                    await self.node.fetch_key(command)
                if not self._answer_now(command):
                    await self._answer(command)
                queue.popleft()
                self._waiting -= size
                if self.claims is None:
                    return  # not let in, and neither is what was sent along with the connect
        finally:
            self._task = None
            self._queue = None
            self._waiting = 0

    def _perform_now(self, command: Command) -> bool:
        """Answer what needs the backplane, if that never waits; False otherwise."""
        if not self.node.immediate:
            return False
        try:
            run_now(self._answer(command))
        except Exception as error:  # noqa: BLE001 - as in a task of its own: reported, and the client comes back
            context = {"message": f"session-{self.client} failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            self.disconnect(codes.SERVER_ERROR)
        return True

    async def _answer(self, command: Command) -> None:
        try:
            await self._perform(command)
        except CommandError as error:
            self.fail(command.id, error.error)
        except DisconnectRequestedError as wanted:
            self.disconnect(wanted.code)
        except BackplaneError:
            self.fail(command.id, codes.INTERNAL)

    async def _perform(self, command: Command) -> None:
        number = command.id
        if command.publish is not None:
            self.reply(number, await publish.publish(self, command.publish))
        elif command.subscribe is not None:
            await subscribe.subscribe(self, number, command.subscribe)
        elif command.connect is not None:
            await connect.connect(self, number, command.connect)
        elif command.unsubscribe is not None:
            self.reply(number, subscribe.unsubscribe(self, command.unsubscribe))
        elif command.history is not None:
            self.reply(number, await history.history(self, command.history))
        elif command.presence is not None:
            self.reply(number, await history.presence(self, command.presence))
        elif command.presence_stats is not None:
            self.reply(number, await history.presence_stats(self, command.presence_stats))
        elif command.rpc is not None:
            self.reply(number, await rpc.rpc(self, command.rpc))
        else:
            raise CommandError(codes.METHOD_NOT_FOUND)

    # what the client gets

    def greet(self, command: int, result: ConnectResult) -> bool:
        """Answer the connect command, see `reply_within`: after that the client may be told anything."""
        self.welcome = self.reply_within(command, result)
        if self.welcome and not self.closed:
            self.node.counters.count_connect()
        if self.welcome and self._welcomed is not None:
            self._welcomed.set()
        return self.welcome

    async def welcomed(self) -> None:
        """Wait until the client was told that it is in, or has gone."""
        if not self.welcome and not self.closed:
            self._welcomed = self._welcomed or asyncio.Event()
            await self._welcomed.wait()

    def reply(self, command: int, result: Result) -> None:
        """Answer a command: with error 106 if the answer is larger than a reply may be."""
        if not self.reply_within(command, result):
            self.fail(command, codes.LIMIT_EXCEEDED)

    def reply_within(self, command: int, result: Result) -> bool:
        """Answer a command unless the answer is larger than a reply may be; whether it was not."""
        if self.closed:
            return True
        frames = self.codec.reply(command, result)
        if len(frames) > self.node.limits.reply_bytes:
            self.node.counters.limits[Limit.REPLY_BYTES] += 1
            return False
        self.connection.write(frames)
        return True

    def fail(self, command: int, error: ErrorCode) -> None:
        """Answer a command that failed; a client that only listens is sent away, because it could do nothing else."""
        self.node.counters.command_errors[error.code] += 1
        if self.codec.unidirectional:
            self.disconnect(disconnect_of(error))
        elif not self.closed:
            self.note_unanswered(error.code)
            self.connection.write(self.codec.error(command, error))

    def push(self, channel: str, push: Push) -> None:
        """Tell the client something; `channel` is "" for what is in none."""
        if not self.closed:
            self.connection.write(self.codec.push(channel, push))

    def end_subscription(self, channel: str, code: UnsubscribeCode) -> None:
        """Unsubscribe the client and tell it. Idempotent.

        One that must subscribe again cannot do so where the server subscribed it: it has to connect again.
        """
        subscription = self.subscriptions.get(channel)
        if subscription is None:
            return
        if subscription.server_side and code.resubscribe:
            expired = code is codes.UNSUBSCRIBED_EXPIRED
            self.disconnect(codes.SUBSCRIPTION_EXPIRED if expired else codes.INSUFFICIENT_STATE)
            return
        subscription.channel.flush()  # what was published before belongs to it still
        self.push(channel, UnsubscribePush(code.code, code.reason))
        self.drop_subscription(channel)

    def drop_subscription(self, channel: str) -> None:
        """End a subscription without telling the client. Idempotent."""
        subscription = self.subscriptions.pop(channel, None)
        if subscription is not None:
            if self._held is not None:
                self._held.forget(channel)
            self.node.hub.end(self, subscription)

    def told(self, grant: Grant, result: SubscribeResult) -> SubscribeResult:
        """The answer to a subscription with the conditions of its grant."""
        if grant.data is not None:
            result = structs.replace(result, data=Raw(grant.data))
        if grant.expires_at is None or grant.renewed_by_hook:
            return result
        return structs.replace(result, expires=True, ttl=self.seconds_until(grant.expires_at))

    def seconds_until(self, at: float) -> int:
        """Whole seconds until a Unix time, at least one; at most what every SDK can hold."""
        return max(1, min(MAX_TTL_SECONDS, int(at - self.node.wall_clock())))

    # a client that reads slowly

    def lags(self) -> bool:
        """Whether the client reads more slowly than it is written to."""
        return self.connection.congested or bool(self._held)

    def hold(self, channel: str, policy: SlowConsumer, content: Content, offset: int) -> None:
        """Keep a publication until the client has read what was written, or drop some as the policy says."""
        if self._held is None:
            self._held = Held(self.node.limits.outbox_bytes)
        dropped = self._held.dropped
        self._held.put(channel, policy, content, offset)
        self.node.counters.publications_dropped[policy] += self._held.dropped - dropped
        if not self.connection.congested:
            self.on_writable()

    def on_writable(self) -> None:
        """The client has read what was written: write what was held, a part at a time, and see whether it lags again.

        All at once might be more than the connection's outbox may hold.
        """
        if self._held is None or self.closed or self.connection.congested:
            return
        for item in self._held.take(self.node.limits.outbox_bytes // 4):
            self.connection.write(self.codec.publication(item.channel, item.told(), item.offset))
        if self._held.waits:
            asyncio.get_running_loop().call_soon(self.on_writable)
        elif not self._held:
            self._held = None
