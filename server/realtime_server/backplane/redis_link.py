"""One pipelined connection to Redis. Commands are batched; redis-py connects, authenticates and parses."""

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
"""Maximum number of commands that wait for a reply; more are refused, to bound memory while Redis hangs."""
MAX_OUTGOING_BYTES = 32 * 1024 * 1024
"""Maximum size of commands that Redis has not read yet; more are refused, to bound memory."""
FAIR_READS = 128
"""Number of replies that are read before other work of the event loop gets its turn."""
PING = b"*1\r\n$4\r\nPING\r\n"
MESSAGES = frozenset({b"message", b"smessage", b"pmessage"})


@dataclass(frozen=True, slots=True)
class Timing:
    """Timeouts and intervals in seconds."""

    connect: float = 3.0
    call: float = 2.0
    probe: float = 1.0
    probes_missed: int = 3
    """Number of consecutive probes without any data received after which a link counts as dead."""
    retry_first: float = 0.1
    retry_most: float = 2.0
    """Longest pause between attempts; below `settle`, so that all workers reconnect before that is over."""
    canary: float = 1.0
    """Interval of the messages that a worker sends to itself."""
    canary_overdue: float = 5.0
    """Time after which such a message counts as lost."""
    settle: float = 5.0
    """Time to wait for the other workers after a restart or failover, before positions are issued or invalidated."""
    silent: float = 10.0
    """Time without a sign of life after which a worker counts as gone."""
    topology: float = 2.0
    """Interval of reading the slot map of a Redis Cluster."""
    usage: float = 10.0
    """Interval of reading the memory and connections in use, rounded up to a multiple of `canary`."""


class RedisConnection(Protocol):
    """Connection to Redis: the part of redis.asyncio.Connection in use."""

    async def connect(self) -> None:
        """Connect, authenticate, select the database."""

    async def disconnect(self, nowait: bool = False) -> None:
        """Close the connection."""

    async def send_packed_command(self, command: Iterable[bytes], check_health: bool = True) -> None:
        """Write packed commands."""

    async def read_response(self, *, timeout: float, disconnect_on_error: bool) -> Reply:  # noqa: ASYNC109
        """Read the next reply."""


@dataclass(frozen=True, slots=True)
class _Unawaited:
    """Placeholder for the reply to an unsubscribe, which nobody awaits."""

    name: bytes


class _Earlier:
    """Placeholder for a reply to a command that has further replies."""


_EARLIER = _Earlier()


class Target(Protocol):
    """Destination of a link."""

    async def connection(self) -> RedisConnection:
        """Return a connection, not connected yet. Raises BackplaneError when the address is not known."""

    async def check(self, link: Link) -> None:
        """Check the peer of a new link. Raises BackplaneError when it is not what it should be."""


class Link:
    """Open, pipelined connection; create it with `open`. Once broken it stays broken: every call raises BackplaneError.

    `on_message` receives the pub/sub messages, as name and payload, on a connection that subscribes. For a subscription
    to a pattern the name is the pattern.
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
        self._pending: deque[asyncio.Future[Reply] | _Unawaited | _Earlier | None] = deque()
        self._broken = asyncio.Event()
        self._reason = ""
        self._received = 0
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(
        cls, target: Target, timing: Timing, on_message: Callable[[bytes, bytes], None] | None = None
    ) -> Link:
        """Connect and return the link, which the caller must close. Raises BackplaneError."""
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
        """True while the link is not known to be broken."""
        return not self._broken.is_set()

    async def wait_broken(self) -> str:
        """Wait until the link is broken; return the reason."""
        await self._broken.wait()
        return self._reason

    def mark_broken(self, reason: str) -> None:
        """Mark the link as broken: all pending calls fail with the reason."""
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
        """Close the connection, even when this call is cancelled. Idempotent.

        On a working link this waits for the connection to close, as TLS ends with an answer of the peer. On a broken
        link it does not wait, since that answer may never come.
        """
        worked = self.usable
        self.mark_broken("closed")
        for task in self._tasks:
            task.cancel()
        try:
            await asyncio.gather(*self._tasks, return_exceptions=True)
        finally:
            with contextlib.suppress(RedisError, OSError):
                await self._connection.disconnect(nowait=not worked)

    async def call(self, *words: Word, replies: int = 1) -> Reply:
        """Send a command and return its reply, the last one of several.

        Raises BackplaneError without a reply in time, and redis.ResponseError when Redis refuses the command.
        """
        future: asyncio.Future[Reply] = self._loop.create_future()
        self.post(*words, replies=replies, future=future)
        try:
            async with asyncio.timeout(self._timing.call):
                return await future
        except TimeoutError as error:
            raise BackplaneError("Redis did not answer in time") from error

    async def run(self, script: Script, keys: Sequence[bytes], *arguments: Word) -> Reply:
        """Run a script by its digest, or by its text where Redis does not know it. Raises as `call` does."""
        try:
            return await self.call(b"EVALSHA", script.digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self.call(b"EVAL", script.text, len(keys), *keys, *arguments)

    def forget(self, command: bytes, name: bytes) -> None:
        """Unsubscribe without waiting for the reply. Raises BackplaneError when the command cannot be sent."""
        self.post(command, name, future=_Unawaited(name))

    def post(self, *words: Word, replies: int = 1, future: asyncio.Future[Reply] | _Unawaited | None = None) -> None:
        """Send a command without waiting; `future` gets the reply. Raises BackplaneError when it cannot be sent."""
        if self._broken.is_set():
            raise BackplaneError(self._reason)
        packed = hiredis.pack_command(words)  # type: ignore[arg-type] # its stub knows tuples of one word only
        full = self._outgoing_bytes and self._outgoing_bytes + len(packed) > MAX_OUTGOING_BYTES
        if full or len(self._pending) + replies > MAX_PENDING:
            raise BackplaneError("too many commands wait for Redis")
        self._send(packed, replies, future)

    def _send(self, packed: bytes, replies: int, future: asyncio.Future[Reply] | _Unawaited | None) -> None:
        self._pending.extend([_EARLIER] * (replies - 1))
        self._pending.append(future)
        self._outgoing.append(packed)
        self._outgoing_bytes += len(packed)
        self._writable.set()

    async def _guard(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (RedisError, OSError, BackplaneError) as error:
            self.mark_broken(f"lost the link to Redis: {error}")

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
            name, message = reply[1], reply[-1]
            assert isinstance(name, bytes)
            assert isinstance(message, bytes)
            self._on_message(name, message)
            return
        if not self._pending:
            raise BackplaneError("a reply to no command")
        if self._is_unrequested_unsubscribe(reply):
            raise BackplaneError("Redis ended a subscription: its slot has moved")
        future = self._pending.popleft()
        while future is _EARLIER and isinstance(reply, ResponseError):
            future = self._pending.popleft()  # an error is the only reply to its command
        if not isinstance(future, asyncio.Future) or future.done():
            return
        if isinstance(reply, ResponseError):
            future.set_exception(reply)
        else:
            future.set_result(reply)

    def _is_unrequested_unsubscribe(self, reply: Reply | ResponseError) -> bool:
        """Return True when Redis ended a subscription by itself, as it does when a slot of a cluster moves away."""
        if self._on_message is None or not isinstance(reply, list) or reply[0] != b"sunsubscribe":
            return False
        head = self._pending[0]
        return not isinstance(head, _Unawaited) or head.name != reply[1]

    async def _probe(self) -> None:
        missed, seen = 0, -1
        while missed < self._timing.probes_missed:
            missed = missed + 1 if self._received == seen else 0
            seen = self._received
            self._send(PING, 1, None)  # whatever waits: a Redis that has much to do is not dead
            await asyncio.sleep(self._timing.probe)
        raise BackplaneError("Redis does not answer")
