"""Tests of the consumer of a queue: order, retries, dead letters, pauses and the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from realtime_server import codes
from realtime_server.core.model.errors import BackplaneError, CommandError
from realtime_server.core.ports.message_broker import (
    DeliveryHandler,
    MessageBrokerError,
    PublishCommand,
    QueuedCommand,
    QueuedMessage,
    Refusal,
)
from realtime_server.message_brokers.queue_consumer import MAX_RETURNS, ConsumerTiming, QueueConsumer, RetryPolicy
from realtime_server.protocols.queues.mapping import TemplateMapping
from realtime_server.protocols.queues.template import parse_template

TIMING = ConsumerTiming(
    reconnect_first=0.001, reconnect_most=0.002, pause_after=0.002, look=0.001, dead_letter_again=0.001, stop=0.05
)
MAPPING = TemplateMapping(parse_template("orders:{routing_key}"), 1000)


class ScriptedDelivery:
    """Delivery that records its answer; `failures` are the attempts to dead-letter it that fail."""

    def __init__(self, message: QueuedMessage, answers: list[str], failures: int = 0) -> None:
        self.message = message
        self.refusal: Refusal | None = None
        self._answers = answers
        self._failures = failures

    async def accept(self) -> None:
        """Record it."""
        self._answers.append(f"+{self.message.message_id}")

    async def dead_letter(self, refusal: Refusal) -> None:
        """Record it, unless it is to fail."""
        if self._failures:
            self._failures -= 1
            raise MessageBrokerError("no such exchange")
        self.refusal = refusal
        self._answers.append(f"-{self.message.message_id}")


@dataclass
class ScriptedQueue:
    """Queue whose messages a test delivers; `refused` is how often it cannot be opened."""

    refused: int = 0
    opened: int = 0
    closed: int = 0
    handler: DeliveryHandler | None = None
    answers: list[str] = field(default_factory=list)
    lost: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    _tasks: list[asyncio.Future[None]] = field(default_factory=list)

    async def open(self, handler: DeliveryHandler) -> ScriptedQueue:
        """Open it, unless it is to fail."""
        if self.refused:
            self.refused -= 1
            raise MessageBrokerError("refused")
        self.opened += 1
        self.handler = handler
        self.lost = asyncio.get_running_loop().create_future()
        return self

    async def wait_lost(self) -> str:
        """Wait until a test says so."""
        return await asyncio.shield(self.lost)

    async def depth(self) -> int:
        """Return a number."""
        return 7

    async def close(self) -> None:
        """Cancel the handlers, as a driver does."""
        self.closed += 1
        self.handler = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def deliver(self, ident: str, channel: str = "a", *, returns: int = 0, failures: int = 0) -> ScriptedDelivery:
        """Deliver a message."""
        assert self.handler is not None
        message = QueuedMessage(b"1", channel, message_id=ident, returns=returns)
        delivery = ScriptedDelivery(message, self.answers, failures)
        self._tasks.append(asyncio.ensure_future(self.handler(delivery)))
        return delivery


class ScriptedExecutor:
    """Executor that records commands, and does what the first of `outcomes` of a message says: error, or an event."""

    def __init__(self) -> None:
        self.executed: list[str] = []
        self.outcomes: dict[str, list[Exception | asyncio.Event]] = {}

    async def execute(self, command: QueuedCommand) -> None:
        """See CommandExecutor."""
        assert isinstance(command, PublishCommand)
        ident = command.message.idempotency_key
        self.executed.append(ident)
        outcomes = self.outcomes.get(ident)
        if not outcomes:
            return
        outcome = outcomes.pop(0)
        if isinstance(outcome, asyncio.Event):
            await outcome.wait()
        else:
            raise outcome


@dataclass
class Scene:
    """A consumer with all that it works with; `healthy` is the state of the backplane."""

    queue: ScriptedQueue
    executor: ScriptedExecutor
    consumer: QueueConsumer
    health: dict[str, bool]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds."""
        async with asyncio.timeout(5):
            while not condition():  # noqa: ASYNC110 - what it waits for announces nothing
                await asyncio.sleep(0.0005)

    async def answered(self, *answers: str) -> None:
        """Wait until these answers were given, in this order, and no others."""
        await self.until(lambda: len(self.queue.answers) >= len(answers))
        assert self.queue.answers == [*answers]


@pytest_asyncio.fixture
async def scene() -> AsyncIterator[Scene]:
    """A consumer whose queue is open."""
    queue, executor, health = ScriptedQueue(), ScriptedExecutor(), {"healthy": True}
    consumer = QueueConsumer(
        "main/orders", queue, MAPPING, executor, lambda: health["healthy"],
        policy=RetryPolicy(3, 0.001, 0.002), timing=TIMING,
    )  # fmt: skip
    made = Scene(queue, executor, consumer, health)
    consumer.start()
    await made.until(lambda: queue.handler is not None)
    yield made
    await consumer.stop()


async def test_a_message_is_accepted_when_it_was_carried_out(scene: Scene) -> None:
    gate = asyncio.Event()
    scene.executor.outcomes["m1"] = [gate]
    scene.queue.deliver("m1")
    await scene.until(lambda: scene.executor.executed == ["m1"])
    assert scene.queue.answers == []
    assert scene.consumer.usage.unanswered == 1
    gate.set()
    await scene.answered("+m1")
    usage = scene.consumer.usage
    assert (usage.outcomes, usage.connected, usage.depth) == ({"accepted": 1}, True, 7)


async def test_a_retry_holds_its_own_channel_and_no_other(scene: Scene) -> None:
    """The order of a channel stays."""
    gate = asyncio.Event()
    scene.executor.outcomes["a1"] = [CommandError(codes.INTERNAL), gate]
    for ident, channel in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        scene.queue.deliver(ident, channel)
    await scene.until(lambda: scene.executor.executed.count("a1") == 2)
    assert scene.queue.answers == ["+b1"]
    gate.set()
    await scene.answered("+b1", "+a1", "+a2")
    assert scene.consumer.usage.retries == 1


@pytest.mark.parametrize("error", [CommandError(codes.INTERNAL), BackplaneError("refused"), ValueError("a fault")])
async def test_what_fails_again_and_again_is_a_dead_letter(scene: Scene, error: Exception) -> None:
    """So is what our own fault makes fail: no message may stop its queue."""
    scene.executor.outcomes["a1"] = [error] * 3
    delivery = scene.queue.deliver("a1")
    scene.queue.deliver("a2")
    await scene.answered("-a1", "+a2")
    assert delivery.refusal is not None
    assert delivery.refusal.error is codes.INTERNAL
    assert scene.executor.executed == ["a1"] * 3 + ["a2"]


async def test_what_is_wrong_for_good_is_a_dead_letter_at_once(scene: Scene) -> None:
    scene.executor.outcomes["a1"] = [CommandError(codes.UNKNOWN_CHANNEL, "there is no namespace a")]
    delivery = scene.queue.deliver("a1")
    await scene.answered("-a1")
    assert scene.executor.executed == ["a1"]
    assert str(delivery.refusal) == "unknown channel: there is no namespace a"


async def test_a_message_that_means_nothing_is_a_dead_letter(scene: Scene) -> None:
    """It waits for nothing."""
    delivery = scene.queue.deliver("a1", "not a channel")
    await scene.answered("-a1")
    assert str(delivery.refusal).startswith("bad request: channel orders:{routing_key}: ")
    assert scene.executor.executed == []


async def test_a_message_that_came_back_too_often_is_a_dead_letter(scene: Scene) -> None:
    """One less is carried out."""
    scene.queue.deliver("a1", returns=MAX_RETURNS)
    scene.queue.deliver("a2", returns=MAX_RETURNS - 1)
    await scene.answered("-a1", "+a2")
    assert scene.consumer.usage.redelivered == 2


async def test_a_dead_letter_that_nobody_takes_is_kept(scene: Scene) -> None:
    """It is tried again, and others go on."""
    scene.queue.deliver("bad", "not a channel", failures=3)
    scene.queue.deliver("good")
    await scene.answered("+good", "-bad")


async def test_a_backplane_that_is_away_spends_no_attempts(scene: Scene) -> None:
    """The consumer gives its messages back, and consumes again when it is there."""
    scene.health["healthy"] = False
    scene.executor.outcomes["a1"] = [BackplaneError("away")] * 10
    scene.queue.deliver("a1")
    await scene.until(lambda: scene.queue.closed == 1)
    assert scene.queue.answers == []
    assert scene.consumer.usage.retries == 0
    assert not scene.consumer.usage.connected
    await asyncio.sleep(0.01)
    assert scene.queue.opened == 1
    scene.health["healthy"] = True
    scene.executor.outcomes.clear()
    await scene.until(lambda: scene.queue.handler is not None)
    scene.queue.deliver("a1", returns=1)
    await scene.answered("+a1")


async def test_a_lost_link_is_opened_again(scene: Scene) -> None:
    """Handlers of the old one are gone, and the queue may refuse several times."""
    scene.executor.outcomes["a1"] = [asyncio.Event()]
    scene.queue.deliver("a1")
    await scene.until(lambda: scene.executor.executed == ["a1"])
    scene.queue.refused = 2
    scene.queue.lost.set_result("killed")
    await scene.until(lambda: scene.queue.opened == 2)
    assert (scene.queue.answers, scene.consumer.usage.unanswered) == ([], 0)
    scene.queue.deliver("a1", returns=1)
    await scene.answered("+a1")


async def test_a_stop_finishes_what_is_carried_out_and_begins_nothing(scene: Scene) -> None:
    """The rest goes back to the queue by the end of the link."""
    gate = asyncio.Event()
    scene.executor.outcomes["a1"] = [gate]
    for ident, channel in (("a1", "a"), ("a2", "a")):
        scene.queue.deliver(ident, channel)
    await scene.until(lambda: scene.executor.executed == ["a1"])
    stopping = asyncio.ensure_future(scene.consumer.stop())
    await asyncio.sleep(0.003)
    scene.queue.deliver("b1", "b")
    gate.set()
    await stopping
    assert scene.queue.answers == ["+a1"]
    assert scene.executor.executed == ["a1"]
    assert (scene.queue.closed, scene.consumer.usage.unanswered) == (1, 0)


async def test_a_stop_does_not_wait_for_ever(scene: Scene) -> None:
    scene.executor.outcomes["a1"] = [asyncio.Event()]
    scene.queue.deliver("a1")
    await scene.until(lambda: scene.executor.executed == ["a1"])
    await scene.consumer.stop()
    assert (scene.queue.answers, scene.queue.closed) == ([], 1)
    await scene.consumer.stop()


@pytest.mark.parametrize(("failures", "delay"), [(1, 0.5), (2, 1), (3, 2), (20, 30)])
def test_pauses_double_up_to_the_longest(failures: int, delay: float) -> None:
    assert RetryPolicy().delay(failures) == delay
