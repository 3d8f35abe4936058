"""One connection to Redis. Commands are joined and pipelined; the library connects, authenticates and parses."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import hiredis
from redis.exceptions import NoScriptError, ReadOnlyError, RedisError, ResponseError

from realtime_server.backplane.redis_reply import Reply, Word
from realtime_server.backplane.redis_scripts import Script
from realtime_server.connect_errors import connect_error
from realtime_server.core.model.errors import BackplaneError

MAX_PENDING = 65_536
"""Commands that wait for their reply; more are refused, so that a Redis that hangs does not fill the memory."""
MAX_OUTGOING_BYTES = 32 * 1024 * 1024
"""Of commands that Redis does not take from the connection; what comes above is refused, for the same reason."""
FAIR_READS = 128
"""So many replies are read before other work of the event loop has its turn."""
PING = b"*1\r\n$4\r\nPING\r\n"
MESSAGES = frozenset({b"message", b"smessage"})


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things may take, in seconds."""

    connect: float = 3.0
    call: float = 2.0
    probe: float = 1.0
    probes_missed: int = 3
    """A link that brought nothing while so many probes were due is dead."""
    retry_first: float = 0.1
    retry_most: float = 2.0
    """Less than `settle`, so that all come back before it is over."""
    canary: float = 1.0
    """How often a worker sends a message to itself."""
    canary_overdue: float = 5.0
    """One that did not come back for so long is lost."""
    settle: float = 5.0
    """So long the other workers are waited for after a restart or a failover, before positions are given or void."""
    silent: float = 10.0
    """A worker that was not heard of for so long is gone."""
    topology: float = 2.0
    """How often the map of a Redis Cluster is read."""


class RedisConnection(Protocol):
    """What is used of redis.asyncio.Connection."""

    async def connect(self) -> None:
        """Connect, authenticate, select the database."""

    async def disconnect(self, nowait: bool = False) -> None:
        """Close the connection."""

    async def send_packed_command(self, command: Iterable[bytes], check_health: bool = True) -> None:
        """Write commands."""

    async def read_response(self, *, timeout: float, disconnect_on_error: bool) -> Reply:  # noqa: ASYNC109
        """Read the next reply."""


@dataclass(frozen=True, slots=True)
class _Forgotten:
    """Stands for the reply to an unsubscribe."""

    name: bytes


class Target(Protocol):
    """Where a link goes to."""

    async def connection(self) -> RedisConnection:
        """A connection that is not connected yet; raises BackplaneError when it is not known where to connect to."""

    async def check(self, link: Link) -> None:
        """Raises BackplaneError when the other end of a new link is not what it should be."""


class Link:
    """An open connection; use `open`. Everything fails with BackplaneError once it is broken, and it stays so.

    `on_message` gets the messages of a connection that subscribes.
    """

    def __init__(
        self, connection: RedisConnection, timing: Timing, on_message: Callable[[bytes, bytes], None] | None
    ) -> None:
        self._connection = connection
        self._timing = timing
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._outgoing: list[bytes] = []
        self._outgoing_bytes = 0
        self._writable = asyncio.Event()
        self._pending: deque[asyncio.Future[Reply] | _Forgotten | None] = deque()
        self._broken = asyncio.Event()
        self._reason = ""
        self._received = 0
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(
        cls, target: Target, timing: Timing, on_message: Callable[[bytes, bytes], None] | None = None
    ) -> Link:
        """Connect; raises BackplaneError. The caller closes the link."""
        connection = None
        try:
            async with asyncio.timeout(timing.connect):
                connection = await target.connection()
                await connection.connect()
        except BaseException as error:
            if connection is not None:
                with contextlib.suppress(RedisError, OSError):
                    await connection.disconnect(nowait=True)
            if isinstance(error, RedisError | OSError):
                reason = connect_error(error) if str(error) else "no answer in time"
                raise BackplaneError(f"cannot connect to Redis: {reason}") from error
            raise
        link = cls(connection, timing, on_message)
        link._tasks = [
            asyncio.create_task(link._guard(work), name=f"redis-{name}")
            for name, work in (("read", link._read), ("write", link._write), ("probe", link._probe))
        ]
        return link

    @property
    def usable(self) -> bool:
        """Whether it is not known to be broken."""
        return not self._broken.is_set()

    async def wait_broken(self) -> str:
        """Wait until the link is broken; returns why."""
        await self._broken.wait()
        return self._reason

    def break_up(self, reason: str) -> None:
        """Give the link up: everything pending fails."""
        if self._broken.is_set():
            return
        self._reason = reason
        self._broken.set()
        for future in self._pending:
            if isinstance(future, asyncio.Future) and not future.done():
                future.set_exception(BackplaneError(reason))
        self._pending.clear()
        self._outgoing.clear()

    async def close(self) -> None:
        """End it; idempotent. The connection is closed even when this is cancelled.

        A link that works is closed when this returns: TLS ends with an answer of the other end. One that is broken may
        get none, and nobody waits for it.
        """
        worked = self.usable
        self.break_up("closed")
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            with contextlib.suppress(RedisError, OSError):
                await self._connection.disconnect(nowait=not worked)

    async def call(self, *words: Word, replies: int = 1) -> Reply:
        """Send a command and return its (last) reply.

        Raises BackplaneError without an answer in time, and redis.ResponseError when Redis refuses the command.
        """
        future: asyncio.Future[Reply] = self._loop.create_future()
        self.post(*words, replies=replies, future=future)
        try:
            async with asyncio.timeout(self._timing.call):
                return await future
        except TimeoutError as error:
            raise BackplaneError("Redis did not answer in time") from error

    async def run(self, script: Script, keys: Sequence[bytes], *arguments: Word) -> Reply:
        """Run a script, which Redis may not know yet or any more; raises as `call` does."""
        try:
            return await self.call(b"EVALSHA", script.digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self.call(b"EVAL", script.text, len(keys), *keys, *arguments)

    def forget(self, command: bytes, name: bytes) -> None:
        """Unsubscribe; nobody waits for the reply. Raises BackplaneError if it cannot be sent."""
        self.post(command, name, future=_Forgotten(name))

    def post(self, *words: Word, replies: int = 1, future: asyncio.Future[Reply] | _Forgotten | None = None) -> None:
        """Send a command whose reply nobody waits for, or `future` does. Raises BackplaneError if it cannot be sent."""
        if self._broken.is_set():
            raise BackplaneError(self._reason)
        packed = hiredis.pack_command(words)  # type: ignore[arg-type] # its stub knows tuples of one word only
        full = self._outgoing_bytes and self._outgoing_bytes + len(packed) > MAX_OUTGOING_BYTES
        if full or len(self._pending) + replies > MAX_PENDING:
            raise BackplaneError("too many commands wait for Redis")
        self._send(packed, replies, future)

    def _send(self, packed: bytes, replies: int, future: asyncio.Future[Reply] | _Forgotten | None) -> None:
        self._pending.extend([None] * (replies - 1))
        self._pending.append(future)
        self._outgoing.append(packed)
        self._outgoing_bytes += len(packed)
        self._writable.set()

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (RedisError, OSError, BackplaneError) as error:
            self.break_up(f"lost the link to Redis: {error}")

    async def _write(self) -> None:
        while True:
            await self._writable.wait()
            self._writable.clear()
            if not self._outgoing:  # broken up; from Python 3.12 on asyncio never closes what has written no bytes
                return
            joined, self._outgoing = b"".join(self._outgoing), []
            await self._connection.send_packed_command((joined,), check_health=False)
            self._outgoing_bytes -= len(joined)

    async def _read(self) -> None:
        while True:
            try:
                reply: Reply | ResponseError = await self._connection.read_response(
                    timeout=math.inf, disconnect_on_error=False
                )
            except ReadOnlyError:
                raise  # this is no primary any more: whoever it is now will be found by connecting again
            except ResponseError as error:
                reply = error
            self._received += 1
            if self._received % FAIR_READS == 0:
                await asyncio.sleep(0)
            self._take(reply)

    def _take(self, reply: Reply | ResponseError) -> None:
        if self._on_message is not None and isinstance(reply, list) and reply[0] in MESSAGES:
            _, channel, message = reply
            assert isinstance(channel, bytes)
            assert isinstance(message, bytes)
            self._on_message(channel, message)
            return
        if not self._pending:
            raise BackplaneError("a reply to no command")
        if self._unasked(reply):
            raise BackplaneError("Redis ended a subscription: its slot has moved")
        future = self._pending.popleft()
        if not isinstance(future, asyncio.Future) or future.done():
            return
        if isinstance(reply, ResponseError):
            future.set_exception(reply)
        else:
            future.set_result(reply)

    def _unasked(self, reply: Reply | ResponseError) -> bool:
        """Whether Redis ended a subscription by itself, as it does when a slot of a cluster moves away."""
        if self._on_message is None or not isinstance(reply, list) or reply[0] != b"sunsubscribe":
            return False
        head = self._pending[0]
        return not isinstance(head, _Forgotten) or head.name != reply[1]

    async def _probe(self) -> None:
        missed, seen = 0, -1
        while missed < self._timing.probes_missed:
            missed = missed + 1 if self._received == seen else 0
            seen = self._received
            self._send(PING, 1, None)  # whatever waits: a Redis that has much to do is not dead
            await asyncio.sleep(self._timing.probe)
        raise BackplaneError("Redis does not answer")
