"""The backplane in Redis: pub/sub between servers, streams as history, presence. One primary; no Redis Cluster.

Keys begin with the prefix: `PREFIX:stream:CHANNEL`, `PREFIX:position:CHANNEL`, `PREFIX:presence:KIND:CHANNEL`,
`PREFIX:generation`, `PREFIX:made:WORKER`. Pub/sub channels: `PREFIX:channel:CHANNEL`, `PREFIX:control`, `PREFIX:gap`,
`PREFIX:echo:WORKER`. A message of a channel is `OFFSET:EPOCH`, a line feed, and the encoded publication; nothing stands
before the line feed when the channel has no history.

Whether positions may be trusted after a restart or a failover of Redis is decided in scripts/greet.lua.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Sequence

import structlog
from redis.exceptions import NoScriptError, ResponseError

from realtime_server import settings
from realtime_server.backplane import redis_scripts as scripts
from realtime_server.backplane.redis_keeper import Keeper
from realtime_server.backplane.redis_link import Link, Target, Timing
from realtime_server.backplane.redis_presence import RedisPresence
from realtime_server.backplane.redis_reply import Reply, Word, as_bytes, as_int, as_list, milliseconds
from realtime_server.backplane.redis_scripts import Script
from realtime_server.core.ports import BackplaneError, Broker, BrokerEvents, PresenceStore
from realtime_server.core.values import (
    HistoryOptions,
    HistoryPage,
    HistoryQuery,
    Publication,
    StreamPosition,
)

logger = structlog.get_logger()

POSITION_SECONDS = 86_400.0
"""A position is kept at least this long after it was last used, so that who was away for a while can recover."""
WORKER_SECONDS = 172_800.0
"""How long the count of a worker's publications is kept while the worker is away."""
SUBSCRIBE_AT_ONCE = 512
"""Channels in one command when all are subscribed again."""
ECHO_SECONDS = 2.0
ECHOES_MISSED = 5
"""So many messages to itself may be on their way; more: the two links do not end at the same Redis."""
MOST = 2**62
"""Larger offsets and limits than this are this."""


def open_redis(redis: settings.Redis, prefix: str, timing: Timing | None = None) -> tuple[Broker, PresenceStore]:
    """A broker that is not started, and the presence store that uses its links."""
    timing = timing or Timing()
    broker = RedisBroker(Target(redis, timing), prefix, timing)
    return broker, RedisPresence(broker, prefix)


class RedisBroker:
    """Implements core.ports.Broker with two links: one for commands, one for what arrives."""

    immediate = False

    def __init__(
        self, target: Target, prefix: str, timing: Timing, *, position_seconds: float = POSITION_SECONDS
    ) -> None:
        self._prefix = prefix
        self._position_seconds = position_seconds
        self._worker = secrets.token_hex(8)
        self._made = 0
        """How many publications with history Redis has confirmed to this worker."""
        self._control, self._gaps = self._key("control"), self._key("gap")
        self._echo = self._key("echo", self._worker)
        self._events: BrokerEvents | None = None
        self._subscribed: dict[bytes, str] = {}
        self._gap = False
        self._echoes_missed = 0
        self._watcher: asyncio.Task[None] | None = None
        self._commands = Keeper("commands", target, timing, greet=self._greet, on_up=self._report_gap)
        self._messages = Keeper(
            "messages", target, timing, greet=self._listen, on_up=self._note_gap, on_message=self._take
        )

    # life

    async def start(self, events: BrokerEvents) -> None:
        """Connect both links; see Broker."""
        self._events = events
        try:
            await self._commands.start()
            await self._messages.start()
        except BaseException:
            await self.stop()
            raise
        self._watcher = asyncio.create_task(self._watch(), name="redis-watch")

    async def stop(self) -> None:
        """Close both links."""
        self._events = None
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
            self._watcher = None
        await self._messages.stop()
        await self._commands.stop()

    @property
    def healthy(self) -> bool:
        """Whether both links are there and answer."""
        return self._commands.usable and self._messages.usable

    # what core asks for

    async def publish(self, channel: str, encoded: bytes, history: HistoryOptions | None) -> StreamPosition | None:
        """Append and deliver in one script; see Broker."""
        if history is None:
            await self.call(b"PUBLISH", self._channel(channel), b"\n" + encoded)
            return None
        keys = (*self._stream_keys(channel), self._key("made", self._worker))
        reply = await self.run(
            scripts.PUBLISH, keys,
            self._channel(channel), encoded, history.size, *self._lifetimes(history), secrets.token_hex(4),
        )  # fmt: skip
        offset, epoch, made = as_list(reply)
        self._made = max(self._made, as_int(made))
        return StreamPosition(as_int(offset), as_bytes(epoch).decode())

    async def subscribe(self, channel: str) -> None:
        """Returns when Redis has confirmed; see Broker."""
        name = self._channel(channel)
        known = name in self._subscribed
        self._subscribed[name] = channel
        try:
            await self._messages.link.call(b"SUBSCRIBE", name)
        except BaseException as error:
            if not known:
                await self.unsubscribe(channel)
            if isinstance(error, ResponseError):
                raise BackplaneError(f"Redis refused: {error}") from error
            raise

    async def unsubscribe(self, channel: str) -> None:
        """Delivers nothing more at once; Redis is told, and never asked again after a reconnect."""
        name = self._channel(channel)
        if self._subscribed.pop(name, None) is not None:
            with contextlib.suppress(BackplaneError):
                self._messages.link.post(b"UNSUBSCRIBE", name)

    async def history(self, channel: str, query: HistoryQuery, options: HistoryOptions) -> HistoryPage:
        """Read in one script; see Broker."""
        since: Word = b"" if query.since is None else max(0, min(query.since.offset, MOST))
        limit = max(-1, min(query.limit, MOST))
        if query.reverse and since == 0:
            limit = 0  # nothing is before the beginning
        reply = await self.run(
            scripts.HISTORY, self._stream_keys(channel),
            limit, since, int(query.reverse), *self._lifetimes(options), secrets.token_hex(4),
        )  # fmt: skip
        newest, epoch, found = as_list(reply)
        pairs = iter(as_list(found))
        publications = tuple(
            Publication(as_bytes(encoded), as_int(offset)) for offset, encoded in zip(pairs, pairs, strict=True)
        )
        return HistoryPage(publications, StreamPosition(as_int(newest), as_bytes(epoch).decode()))

    async def remove_history(self, channel: str) -> None:
        """Drop the stream; see Broker."""
        await self.call(b"DEL", self._key("stream", channel))

    async def publish_control(self, message: bytes) -> None:
        """Publish to all workers; see Broker."""
        await self.call(b"PUBLISH", self._control, message)

    # commands

    async def call(self, *words: Word) -> Reply:
        """Run a command; raises BackplaneError."""
        try:
            return await self._commands.link.call(*words)
        except ResponseError as error:
            raise BackplaneError(f"Redis refused: {error}") from error

    async def run(self, script: Script, keys: Sequence[bytes], *arguments: Word) -> Reply:
        """Run a script, which Redis may not know yet or any more; raises BackplaneError."""
        try:
            return await self._commands.link.call(b"EVALSHA", script.digest, len(keys), *keys, *arguments)
        except NoScriptError:
            return await self.call(b"EVAL", script.text, len(keys), *keys, *arguments)
        except ResponseError as error:
            raise BackplaneError(f"Redis refused: {error}") from error

    # links

    async def _greet(self, link: Link) -> None:
        keys = (self._key("made", self._worker), self._key("generation"))
        reply = await link.call(
            b"EVAL", scripts.GREET.text, len(keys), *keys,
            self._made, secrets.token_hex(4), self._gaps, int(WORKER_SECONDS * 1000),
        )  # fmt: skip
        made, changed = as_list(reply)
        if changed and self._made:
            logger.warning("redis lost publications: all positions are void")
        self._made = as_int(made)

    async def _listen(self, link: Link) -> None:
        channels = list(self._subscribed)
        names = [self._control, self._gaps, self._echo, *channels]
        for start in range(0, len(names), SUBSCRIBE_AT_ONCE):
            chunk = names[start : start + SUBSCRIBE_AT_ONCE]
            await link.call(b"SUBSCRIBE", *chunk, replies=len(chunk))
        for name in channels:
            if name not in self._subscribed:  # given up meanwhile
                link.post(b"UNSUBSCRIBE", name)
        self._echoes_missed = 0

    def _note_gap(self) -> None:
        self._gap = True
        self._report_gap()

    def _report_gap(self) -> None:
        """Report a gap as soon as the positions can be checked, which takes both links."""
        if self._gap and self.healthy and self._events is not None:
            self._gap = False
            self._events.on_gap()

    def _take(self, name: bytes, message: bytes) -> None:
        if self._events is None:
            return
        channel = self._subscribed.get(name)
        if channel is not None:
            head, _, encoded = message.partition(b"\n")
            offset, _, epoch = head.partition(b":")
            self._events.on_publication(channel, Publication(encoded, int(offset or 0)), epoch.decode())
        elif name == self._control:
            self._events.on_control(message)
        elif name == self._gaps:
            self._note_gap()
        elif name == self._echo:
            self._echoes_missed = 0

    async def _watch(self) -> None:
        """Send messages to this worker itself: what was sent by one link has to come back by the other.

        It does not when they end at different Redis processes, as after a failover that only one of them noticed.
        """
        while True:
            await asyncio.sleep(ECHO_SECONDS)
            with contextlib.suppress(BackplaneError):
                link = self._messages.link
                if self._echoes_missed >= ECHOES_MISSED:
                    link.break_up("what is published does not arrive")
                    continue
                await self.call(b"PEXPIRE", self._key("made", self._worker), int(WORKER_SECONDS * 1000))
                await self.call(b"PUBLISH", self._echo, b"")
                self._echoes_missed += 1

    # names

    def _key(self, *parts: str) -> bytes:
        return ":".join((self._prefix, *parts)).encode()

    def _channel(self, channel: str) -> bytes:
        return self._key("channel", channel)

    def _stream_keys(self, channel: str) -> tuple[bytes, bytes, bytes]:
        return self._key("stream", channel), self._key("position", channel), self._key("generation")

    def _lifetimes(self, options: HistoryOptions) -> tuple[int, int]:
        """How long publications and the position are kept, in milliseconds."""
        return milliseconds(options.ttl_seconds), milliseconds(max(self._position_seconds, 2 * options.ttl_seconds))
