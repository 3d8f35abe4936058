"""One primary and this worker's two links to it, one for commands and one for pub/sub messages."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Iterable

import structlog
from redis.exceptions import ResponseError

from realtime_server.backplane.redis_link import Link, Target, Timing
from realtime_server.backplane.redis_partition import GREET, SETTLED, Partition
from realtime_server.backplane.redis_reply import as_bytes
from realtime_server.backplane.redis_supervisor import LinkSupervisor
from realtime_server.backplane.redis_usage import RedisUsage, usage_of
from realtime_server.core.model.errors import BackplaneError

logger = structlog.get_logger()


class Shard:
    """Owner of both links to a primary, which greets, subscribes and monitors its partitions.

    `on_message` receives the pub/sub messages. `on_interrupted` is called before those of a new link or of another
    partition arrive, `on_gap` when publications may have been lost and can be read again, `on_lost` when a link is
    lost.
    """

    def __init__(
        self,
        name: str,
        target: Target,
        timing: Timing,
        partitions: Iterable[Partition],
        *,
        on_message: Callable[[bytes, bytes], None],
        on_interrupted: Callable[[], None],
        on_gap: Callable[[], None],
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.partitions = {partition.index: partition for partition in partitions}
        self.usage: RedisUsage | None = None
        """Use of the primary when it was read last; None before."""
        self._usage_due = 0.0
        self._has_advised = False
        self._timing = timing
        self._on_interrupted = on_interrupted
        self._on_gap = on_gap
        self._gap = False
        self.interrupted = False
        """True from an interruption until the gap that follows it is reported."""
        self._greet_all = False
        self._due = asyncio.Event()
        self._watcher: asyncio.Task[None] | None = None
        self.commands = LinkSupervisor(
            f"{name} commands", target, timing, greet=self._greet, on_up=self._note_up, on_lost=on_lost
        )
        self.messages = LinkSupervisor(
            f"{name} messages", target, timing,
            greet=self._listen, on_up=self.note_gap, on_lost=on_lost, on_message=on_message,
        )  # fmt: skip

    async def start(self) -> None:
        """Connect both links. Raises BackplaneError when that fails."""
        try:
            await self.commands.start()
            await self.messages.start()
            self.interrupted = False
        except BaseException:
            await self.stop()
            raise
        self._watcher = asyncio.create_task(self._watch(), name=f"redis-watch-{self.name}")

    async def stop(self) -> None:
        """Close both links. Idempotent."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
            self._watcher = None
        if self.commands.usable:
            with contextlib.suppress(BackplaneError, ResponseError):
                link = self.commands.link
                await asyncio.gather(*(partition.leave(link) for partition in self.partitions.values()))
        await self.messages.stop()
        await self.commands.stop()

    @property
    def linked(self) -> bool:
        """True while both links are up."""
        return self.commands.usable and self.messages.usable

    @property
    def healthy(self) -> bool:
        """True while publications in its partitions are known to arrive."""
        now = asyncio.get_running_loop().time()
        return self.linked and all(partition.healthy(now) for partition in self.partitions.values())

    def break_links(self, reason: str) -> None:
        """Break both links, so that they reconnect."""
        for supervisor in (self.commands, self.messages):
            if supervisor.usable:
                supervisor.link.mark_broken(reason)

    def switch(self, reason: str) -> None:
        """Reconnect both links without delay, because the primary was replaced."""
        self.commands.switch(reason)
        self.messages.switch(reason)

    def note_gap(self) -> None:
        """Record that publications may have been lost, and report it as `report_gap` does."""
        self._due.set()
        self._gap = True
        self.report_gap()

    def report_gap(self) -> None:
        """Report a recorded gap once both links are up, which checking the positions requires."""
        if self._gap and self.linked:
            self._gap = self.interrupted = False
            self._on_gap()

    async def adopt(self, partition: Partition) -> None:
        """Take over a partition that has moved to this primary. Raises BackplaneError; the links then reconnect."""
        self.partitions[partition.index] = partition
        try:
            await self._prepare(partition)
        except ResponseError as error:
            self.break_links(f"Redis refused: {error}")
            raise BackplaneError(f"Redis refused: {error}") from error
        except BackplaneError as error:
            self.break_links(str(error))
            raise
        self.note_gap()

    async def _prepare(self, partition: Partition) -> None:
        await partition.greet(self.commands.link, _candidate())
        self._interrupt()
        await partition.listen(self.messages.link)

    async def _greet(self, link: Link) -> None:
        candidate = _candidate()
        await asyncio.gather(*(partition.greet(link, candidate) for partition in self.partitions.values()))

    async def _listen(self, link: Link) -> None:
        self._interrupt()
        for partition in list(self.partitions.values()):
            await partition.listen(link)

    def _interrupt(self) -> None:
        self.interrupted = True
        self._on_interrupted()

    def _note_up(self) -> None:
        self._due.set()
        self.report_gap()

    async def _watch(self) -> None:
        """Check at intervals that messages sent over one link arrive over the other, and keep the partitions greeted.

        They do not arrive when the links end at different Redis processes, as after a failover that only one noticed.
        """
        while True:
            called, self._greet_all = self._greet_all, False
            self._due.clear()
            with contextlib.suppress(BackplaneError, ResponseError):
                await self._maintain(greet_all=called)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._timing.canary):
                    await self._due.wait()

    async def _maintain(self, *, greet_all: bool) -> None:
        link, now = self.commands.link, asyncio.get_running_loop().time()
        partitions = list(self.partitions.values())
        if self.linked and any(partition.canary.overdue(now) for partition in partitions):
            self.break_links("what is published does not arrive")
            return
        candidate = _candidate()
        greeting = [partition for partition in partitions if greet_all or partition.settling or partition.forgotten]
        await asyncio.gather(*(partition.greet(link, candidate) for partition in greeting))
        await asyncio.gather(*(partition.beat(link) for partition in partitions))
        await self._read_usage(link, now)

    async def _read_usage(self, link: Link, now: float) -> None:
        if now < self._usage_due:
            return
        self._usage_due = now + self._timing.usage
        self.usage = usage_of(*[as_bytes(await link.call(b"INFO", part)) for part in (b"memory", b"clients")])
        if self.usage.memory.evicts and not self._has_advised:
            self._has_advised = True
            logger.warning(
                "Redis evicts keys when it is full: histories, positions and presence are then lost",
                link=self.name,
                advice="set maxmemory-policy to noeviction",
            )

    def receive(self, partition: Partition, message: bytes) -> None:
        """Handle a message of a partition's channel for gaps."""
        if message == GREET:
            self._greet_all = True
            self._due.set()
            return
        partition.settling = False
        if message != SETTLED:
            self.note_gap()


def _candidate() -> str:
    """Return a random generation, to use if the partition has none."""
    return secrets.token_hex(4)
