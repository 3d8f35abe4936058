"""One connection to Redis. Commands are joined and pipelined; the library connects, authenticates and parses."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Protocol, cast

import hiredis
from redis.asyncio.connection import Connection, parse_url
from redis.exceptions import ReadOnlyError, RedisError, ResponseError

from realtime_server import settings
from realtime_server.backplane.redis_reply import Reply, Word
from realtime_server.core.ports import BackplaneError
from realtime_server.settings import SecretFile

MAX_PENDING = 65_536
"""Commands that wait for their reply; more are refused, so that a Redis that hangs does not fill the memory."""
FAIR_READS = 128
"""So many replies are read before other work of the event loop has its turn."""
FROM_URL = frozenset({"connection_class", "host", "port", "db", "username", "password", "path"})
"""What a URL may say, and whatever begins with ssl_."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things may take, in seconds."""

    connect: float = 3.0
    call: float = 2.0
    probe: float = 1.0
    probes_missed: int = 3
    """A link that brought nothing while so many probes were due is dead."""
    retry_first: float = 0.1
    retry_most: float = 5.0


class Wire(Protocol):
    """What is used of redis.asyncio.Connection."""

    async def connect(self) -> None:
        """Connect, authenticate, select the database."""

    async def disconnect(self, nowait: bool = False) -> None:
        """Close the connection."""

    async def send_packed_command(self, command: Iterable[bytes], check_health: bool = True) -> None:
        """Write commands."""

    async def read_response(self, *, timeout: float, disconnect_on_error: bool) -> Reply:  # noqa: ASYNC109
        """Read the next reply."""


class Target:
    """Where Redis is. The files are read for each connection, so that a changed password is used by the next one."""

    def __init__(self, redis: settings.Redis, timing: Timing) -> None:
        self._address = redis.address
        self._url = SecretFile(redis.url_file)
        self._password = SecretFile(redis.password_file)
        self._timing = timing

    def wire(self) -> Wire:
        """A connection that is not connected yet. Raises BackplaneError when the settings cannot be used."""
        try:
            options = self._options()
        except ValueError as error:  # its text may contain the URL, and that the password
            raise BackplaneError("the URL of Redis is not one") from error
        connection = options.pop("connection_class", Connection)
        assert callable(connection)
        # RESP2: replies and messages share one format on both kinds of link. No timeout of its own: the link has one.
        made = connection(**options, protocol=2, socket_connect_timeout=self._timing.connect, socket_timeout=None)
        return cast(Wire, made)

    def _options(self) -> dict[str, object]:
        if self._address is not None:
            host, _, port = self._address.rpartition(":")
            return {"host": host.strip("[]"), "port": int(port), "password": self._password.read() or None}
        url = self._url.read()
        if not url:
            raise BackplaneError("the file with the URL of Redis is not there or empty")
        return {name: value for name, value in parse_url(url).items() if name in FROM_URL or name.startswith("ssl_")}


class Link:
    """An open connection; use `open`. Everything fails with BackplaneError once it is broken, and it stays so.

    `on_message` gets the messages of a connection that subscribes.
    """

    def __init__(self, wire: Wire, timing: Timing, on_message: Callable[[bytes, bytes], None] | None) -> None:
        self._wire = wire
        self._timing = timing
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._outgoing: list[bytes] = []
        self._writable = asyncio.Event()
        self._pending: deque[asyncio.Future[Reply] | None] = deque()
        self._broken = asyncio.Event()
        self._reason = ""
        self._received = 0
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(
        cls, target: Target, timing: Timing, on_message: Callable[[bytes, bytes], None] | None = None
    ) -> Link:
        """Connect; raises BackplaneError. The caller closes the link."""
        wire = target.wire()
        try:
            async with asyncio.timeout(timing.connect):
                await wire.connect()
        except BaseException as error:
            with contextlib.suppress(RedisError, OSError):
                await wire.disconnect(nowait=True)
            if isinstance(error, RedisError | OSError):
                raise BackplaneError(f"cannot connect to Redis: {str(error) or 'no answer in time'}") from error
            raise
        link = cls(wire, timing, on_message)
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
            if future is not None and not future.done():
                future.set_exception(BackplaneError(reason))
        self._pending.clear()

    async def close(self) -> None:
        """End it; idempotent."""
        self.break_up("closed")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(RedisError, OSError):
            await self._wire.disconnect(nowait=True)

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

    def post(self, *words: Word, replies: int = 1, future: asyncio.Future[Reply] | None = None) -> None:
        """Send a command whose reply nobody waits for, or `future` does. Raises BackplaneError if it cannot be sent."""
        if self._broken.is_set():
            raise BackplaneError(self._reason)
        if len(self._pending) + replies > MAX_PENDING:
            raise BackplaneError("too many commands wait for Redis")
        self._pending.extend([None] * (replies - 1))
        self._pending.append(future)
        self._outgoing.append(hiredis.pack_command(words))  # type: ignore[arg-type] # its stub knows tuples of one word only
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
            joined, self._outgoing = b"".join(self._outgoing), []
            await self._wire.send_packed_command((joined,), check_health=False)

    async def _read(self) -> None:
        while True:
            try:
                reply: Reply | ResponseError = await self._wire.read_response(
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
        if self._on_message is not None and isinstance(reply, list) and reply[0] == b"message":
            _, channel, message = reply
            assert isinstance(channel, bytes)
            assert isinstance(message, bytes)
            self._on_message(channel, message)
            return
        if not self._pending:
            raise BackplaneError("a reply to no command")
        future = self._pending.popleft()
        if future is None or future.done():
            return
        if isinstance(reply, ResponseError):
            future.set_exception(reply)
        else:
            future.set_result(reply)

    async def _probe(self) -> None:
        missed, seen = 0, -1
        while missed < self._timing.probes_missed:
            missed = missed + 1 if self._received == seen else 0
            seen = self._received
            self.post(b"PING")
            await asyncio.sleep(self._timing.probe)
        raise BackplaneError("Redis does not answer")
