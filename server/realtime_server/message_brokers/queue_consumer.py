"""Consumer of one queue: carries its messages out, in order where they are about the same, and answers each."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from realtime_server import codes
from realtime_server.core.metrics.counters import LatencyHistogram
from realtime_server.core.model.errors import BackplaneError, CommandError
from realtime_server.core.ports.message_broker import (
    CommandExecutor,
    Delivery,
    MessageBrokerError,
    MessageQueue,
    PublishCommand,
    QueuedCommand,
    QueuedMessage,
    QueueLink,
    Refusal,
)
from realtime_server.core.tasks import has_failed
from realtime_server.message_brokers.ordered_lanes import OrderedLanes
from realtime_server.protocols.queues.mapping import Mapping

logger = structlog.get_logger()

MAX_RETURNS = 15
"""A message that came back this often is a dead letter: less than the 20 at which RabbitMQ 4 drops it by itself."""
LOG_SECONDS = 1.0
"""Between two lines of the log about dead letters, of which a publisher can make any number."""
CONSUMER_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
"""Upper bounds in seconds."""


@dataclass(frozen=True, slots=True)
class ConsumerTiming:
    """Durations in seconds.

    `reconnect_first` and `reconnect_most` are the pauses between attempts to connect, which double. A backplane that is
    not healthy for `pause_after` pauses the consumer. `depth` is the interval of reading the depth of the queue.
    """

    reconnect_first: float = 0.2
    reconnect_most: float = 10.0
    pause_after: float = 2.0
    look: float = 0.1
    depth: float = 15.0
    dead_letter_again: float = 5.0
    stop: float = 5.0


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Attempts of a message, and the pauses between them in seconds, which double up to `max_delay`."""

    attempts: int = 5
    first_delay: float = 0.5
    max_delay: float = 30.0

    def delay(self, failures: int) -> float:
        """Return the pause after this many failures, from 1 on."""
        return float(min(self.first_delay * 2 ** (failures - 1), self.max_delay))


class ConsumerUsage:
    """Counters of a consumer. `depth` is None while it is not known."""

    def __init__(self) -> None:
        self.outcomes: Counter[str] = Counter()
        """Messages by outcome: `accepted` or `dead_lettered`."""
        self.redelivered = 0
        self.retries = 0
        self.unanswered = 0
        self.connected = False
        self.depth: int | None = None
        self.seconds = LatencyHistogram(CONSUMER_BUCKETS)
        """Time from the delivery of a message to its answer."""


class QueueConsumer:
    """Consumer of one queue, which reconnects for ever. `is_healthy` tells whether the backplane takes publications."""

    def __init__(
        self,
        name: str,
        queue: MessageQueue,
        mapping: Mapping,
        executor: CommandExecutor,
        is_healthy: Callable[[], bool],
        *,
        policy: RetryPolicy | None = None,
        timing: ConsumerTiming | None = None,
    ) -> None:
        self.name = name
        self.usage = ConsumerUsage()
        self._queue = queue
        self._mapping = mapping
        self._executor = executor
        self._is_healthy = is_healthy
        self._policy = policy or RetryPolicy()
        self._timing = timing or ConsumerTiming()
        self._lanes = OrderedLanes()
        self._running = 0
        """Commands that are being carried out, and answers that are being sent."""
        self._stopping = False
        self._logged_at = -LOG_SECONDS
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Consume in a task."""
        self._task = asyncio.create_task(self._run(), name=f"consumer-{self.name}")
        self._task.add_done_callback(has_failed)

    async def stop(self) -> None:
        """Finish the commands that are being carried out, and give everything else back to the queue. Idempotent.

        Messages are not answered after another consumer may have got later ones: those in hand go back before.
        """
        self._stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timing.stop):
                while self._running:  # noqa: ASYNC110 - a server stops once
                    await asyncio.sleep(self._timing.look)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _run(self) -> None:
        pause = self._timing.reconnect_first
        while True:
            await self._until_healthy()
            began = time.monotonic()
            try:
                reason = await self._consume()
            except MessageBrokerError as error:
                logger.warning("queue cannot be consumed", queue=self.name, reason=str(error))
            else:
                logger.warning("queue is consumed no more", queue=self.name, reason=reason)
            if time.monotonic() - began > self._timing.reconnect_most:
                pause = self._timing.reconnect_first
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads the servers' attempts
            pause = min(2 * pause, self._timing.reconnect_most)

    async def _consume(self) -> str:
        """Consume until the link is lost or the backplane away; return the reason. Raises MessageBrokerError."""
        link = await self._queue.open(self._handle)
        try:
            self.usage.connected = True
            logger.info("queue is consumed", queue=self.name)
            return await self._until_lost(link)
        finally:
            self.usage.connected, self.usage.depth = False, None
            await link.close()

    async def _until_lost(self, link: QueueLink) -> str:
        lost = asyncio.create_task(link.wait_lost(), name=f"consumer-link-{self.name}")
        unhealthy_since: float | None = None
        look_at = 0.0
        try:
            while not lost.done():
                now = time.monotonic()
                if now >= look_at:
                    look_at = now + self._timing.depth
                    with contextlib.suppress(MessageBrokerError):
                        self.usage.depth = await link.depth()
                unhealthy_since = None if self._is_healthy() else unhealthy_since or now
                if unhealthy_since is not None and now - unhealthy_since >= self._timing.pause_after:
                    return "the backplane is away"
                await asyncio.wait((lost,), timeout=self._timing.look)
            return lost.result()
        finally:
            lost.cancel()

    async def _until_healthy(self) -> None:
        while not self._is_healthy():  # noqa: ASYNC110 - it depends on the clock too, so nothing can announce it
            await asyncio.sleep(self._timing.look)

    async def _handle(self, delivery: Delivery) -> None:
        """Carry out and answer one message; implements DeliveryHandler."""
        began = time.monotonic()
        self.usage.unanswered += 1
        self.usage.redelivered += bool(delivery.message.returns)
        try:
            command = self._command(delivery.message)
            if isinstance(command, Refusal):
                await self._dead_letter(delivery, command)
            else:
                await self._lanes.run(_keys(command), lambda: self._settle(command, delivery))
            self.usage.seconds.observe(time.monotonic() - began)
        finally:
            self.usage.unanswered -= 1

    def _command(self, message: QueuedMessage) -> QueuedCommand | Refusal:
        """Return what a message means. A failure of the code is a refusal too: no message may stop its queue."""
        if message.returns >= MAX_RETURNS:
            return Refusal(codes.INTERNAL, f"came back to the queue {message.returns} times without an answer")
        try:
            return self._mapping.command(message)
        except CommandError as error:
            return Refusal(error.error, error.why)
        except Exception:
            logger.exception("message could not be read", queue=self.name)
            return Refusal(codes.INTERNAL)

    async def _settle(self, command: QueuedCommand, delivery: Delivery) -> None:
        refusal = await self._carry_out(command)
        if refusal is not None:
            await self._dead_letter(delivery, refusal)
            return
        self._running += 1
        try:
            await delivery.accept()
        finally:
            self._running -= 1
        self.usage.outcomes["accepted"] += 1

    async def _carry_out(self, command: QueuedCommand) -> Refusal | None:
        """Carry a command out, several times if need be; return why it cannot be, None when it is done."""
        failures = 0
        while True:
            refusal = await self._attempt(command)
            if refusal is None or not refusal.error.temporary:
                return refusal
            if not self._is_healthy():
                await self._until_healthy()  # the consumer is paused if it takes long: no attempts are spent
                continue
            failures += 1
            if failures >= self._policy.attempts:
                return refusal
            self.usage.retries += 1
            await asyncio.sleep(self._policy.delay(failures))

    async def _attempt(self, command: QueuedCommand) -> Refusal | None:
        if self._stopping:
            await asyncio.Event().wait()  # until the link is closed, which gives the message back
        self._running += 1
        try:
            await self._executor.execute(command)
        except BackplaneError as error:
            return Refusal(codes.INTERNAL, str(error))
        except CommandError as error:
            return Refusal(error.error, error.why)
        except Exception:
            logger.exception("message could not be carried out", queue=self.name)
            return Refusal(codes.INTERNAL)
        finally:
            self._running -= 1
        return None

    async def _dead_letter(self, delivery: Delivery, refusal: Refusal) -> None:
        """Move a message away for good. While that is not possible it stays where it is, and is tried again."""
        while True:
            try:
                await delivery.dead_letter(refusal)
            except MessageBrokerError as error:
                logger.warning("message cannot be dead-lettered", queue=self.name, reason=str(error))
                await asyncio.sleep(self._timing.dead_letter_again)
                continue
            self.usage.outcomes["dead_lettered"] += 1
            now = time.monotonic()
            if now - self._logged_at >= LOG_SECONDS:
                self._logged_at = now
                logger.warning("message dead-lettered", queue=self.name, reason=str(refusal))
            return


def _keys(command: QueuedCommand) -> tuple[str, ...]:
    return command.channels if isinstance(command, PublishCommand) else command.subjects
