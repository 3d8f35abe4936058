"""Feed of what other programs write to the Redis of the cluster: implements Feed.

In a Redis Cluster every node gets what PUBLISH publishes, so that one subscription is enough; SPUBLISH, of sharded
pub/sub, has no patterns. Of a stream each worker reads all, from where it was, by the ids of the entries: no consumer
group, which would divide the entries among the workers.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple, Self

from redis.exceptions import AskError, ResponseError

from realtime_server.backplane.redis_link import Link
from realtime_server.backplane.redis_reply import Reply, as_bytes, as_list, milliseconds
from realtime_server.backplane.redis_router import Router
from realtime_server.backplane.redis_supervisor import LinkSupervisor
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.ports.feed import FeedReceiver, FeedSource

ENTRIES = 100
"""Entries that one command reads."""
REMEMBERED = 1000
"""Received entries of a stream whose ids are remembered."""


class RedisFeed:
    """Feed over links of its own, one for the messages and one for the stream. The router must be started before."""

    def __init__(self, router: Router, source: FeedSource) -> None:
        self._router = router
        self._source = source
        self._messages: LinkSupervisor | None = None
        self._stream: StreamReader | None = None

    async def start(self, receiver: FeedReceiver) -> None:
        """See Feed."""
        source = self._source
        ups = []
        if source.channels or source.patterns:
            up = asyncio.Event()
            ups.append(up)
            self._messages = self._router.link_to(
                b"", "feed of messages", greet=self._subscribe, on_up=up.set,
                on_message=lambda name, payload: receiver.on_message(name.decode(), payload),
            )  # fmt: skip
            self._messages.begin()
        if source.stream:
            self._stream = StreamReader(self._router, source.stream, receiver)
            ups.append(self._stream.up)
            self._stream.begin()
        for up in ups:
            await up.wait()

    async def stop(self) -> None:
        """See Feed."""
        if self._messages is not None:
            await self._messages.stop()
            self._messages = None
        if self._stream is not None:
            await self._stream.stop()
            self._stream = None

    @property
    def connected(self) -> bool:
        """See Feed."""
        source = self._source
        listens = self._messages is not None and self._messages.usable
        reads = self._stream is not None and self._stream.connected
        return (listens or not (source.channels or source.patterns)) and (reads or not source.stream)

    async def _subscribe(self, link: Link) -> None:
        for command, names in ((b"PSUBSCRIBE", self._source.patterns), (b"SUBSCRIBE", self._source.channels)):
            if names:
                await link.call(command, *names, replies=len(names))


class EntryId(NamedTuple):
    """Id of an entry of a stream."""

    milliseconds: int
    number: int

    @classmethod
    def parse(cls, text: bytes) -> Self:
        """Return the id that Redis writes like this."""
        first, _, second = text.partition(b"-")
        return cls(int(first), int(second))

    def __str__(self) -> str:
        """Return the id as Redis reads it."""
        return f"{self.milliseconds}-{self.number}"


class StreamReader:
    """Reader of a stream from its end on; it goes on where it was when its link is lost. `up`: it has begun."""

    def __init__(self, router: Router, stream: str, receiver: FeedReceiver) -> None:
        self.up = asyncio.Event()
        self._router = router
        self._stream = stream.encode()
        self._receiver = receiver
        self._recent: deque[EntryId] = deque(maxlen=REMEMBERED)
        """Id of the last entry before the begin, and of those received since; the last one is the position."""
        self._timing = timing = router.timing
        self._block = milliseconds(min(timing.probe, timing.call / 2))
        """Time that a read waits for entries, within which the probes of the link wait too."""
        self._supervisor = router.link_to(self._stream, "feed of a stream", greet=self._find_place, on_up=self._note_up)
        self._linked = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def connected(self) -> bool:
        """True while there is a link."""
        return self._supervisor.usable

    def begin(self) -> None:
        """Connect and read in tasks."""
        self._supervisor.begin()
        self._task = asyncio.create_task(self._read(), name="redis-feed-stream")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await self._supervisor.stop()

    def _note_up(self) -> None:
        self.up.set()
        self._linked.set()

    async def _find_place(self, link: Link) -> None:
        """Begin after the last entry; later go on where it was.

        A stream may have lost its end, by a failover or a restart of Redis, after which ids need not be greater than
        those lost. Then it goes on after the last received entry that the stream still has.
        """
        last = EntryId(0, 0)
        for entry in as_list(await link.call(b"XREVRANGE", self._stream, b"+", b"-", b"COUNT", 1)):
            last = EntryId.parse(as_bytes(as_list(entry)[0]))
        while self._recent and self._recent[-1] > last:
            self._recent.pop()
        if not self._recent:
            self._recent.append(last)

    async def _read(self) -> None:
        while True:
            await self._linked.wait()
            if not self._supervisor.usable:
                self._linked.clear()
                continue
            link = self._supervisor.link
            try:
                reply = await link.call(
                    b"XREAD", b"COUNT", ENTRIES, b"BLOCK", self._block, b"STREAMS", self._stream, str(self._recent[-1])
                )
            except BackplaneError:
                await asyncio.sleep(self._timing.retry_first)
                continue
            except ResponseError as error:
                link.mark_broken(f"Redis refused: {error}")
                if isinstance(error, AskError):  # MOVED too
                    self._router.note_moved()
                else:
                    await asyncio.sleep(self._timing.retry_most)
                continue
            await self._take(reply)

    async def _take(self, reply: Reply) -> None:
        if reply is None:  # nothing new
            return
        ((_, entries),) = map(as_list, as_list(reply))
        for entry in as_list(entries):
            identity, fields = as_list(entry)
            words = iter(map(as_bytes, as_list(fields)))
            await self._receiver.on_entry(dict(zip(words, words, strict=True)))
            self._recent.append(EntryId.parse(as_bytes(identity)))
            await asyncio.sleep(0)
