"""Memory driver with a clock that the test sets; tests/contract covers what all drivers do."""

from __future__ import annotations

from realtime_server.backplane.memory import MAX_IDEMPOTENCY_KEYS, MemoryBroker
from realtime_server.core.model.values import HistoryOptions, HistoryQuery, Publication

KEPT = HistoryOptions(size=3, ttl_seconds=100)
ALL = HistoryQuery(limit=-1)


class Clock:
    """Clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Events:
    """Receiver that records the broker's events."""

    def __init__(self) -> None:
        self.arrived: list[str] = []

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        self.arrived.append(f"{channel} {publication.encoded.decode()} {publication.offset} {epoch}")

    def on_control(self, message: bytes) -> None:
        self.arrived.append(message.decode())

    def on_interrupted(self) -> None:
        raise AssertionError("memory has no link")

    def on_gap(self) -> None:
        raise AssertionError("memory has no gaps")


async def test_a_publication_is_delivered_before_publish_returns() -> None:
    broker, events = MemoryBroker(), Events()
    await broker.start(events)
    await broker.subscribe("news")
    position = await broker.publish("news", b"1", KEPT)
    assert position is not None
    assert events.arrived == [f"news 1 1 {position.epoch}"]
    await broker.stop()


async def test_a_publication_is_kept_for_its_ttl() -> None:
    clock = Clock()
    broker = MemoryBroker(clock=clock)
    await broker.publish("news", b"1", KEPT)
    clock.now += 60
    await broker.publish("news", b"2", KEPT)
    clock.now += 39.9
    assert len((await broker.history("news", ALL, KEPT)).publications) == 2
    clock.now += 0.1
    assert len((await broker.history("news", ALL, KEPT)).publications) == 1


async def test_a_position_outlives_the_publications() -> None:
    """A position is kept for twice the ttl of the publications, even with a shorter position lifetime."""
    clock = Clock()
    broker = MemoryBroker(clock=clock, position_seconds=1)
    position = await broker.publish("news", b"1", KEPT)
    clock.now += 199.9
    assert (await broker.history("news", ALL, KEPT)).position == position
    clock.now += 200
    assert (await broker.history("news", ALL, KEPT)).position != position


async def test_a_position_is_kept_for_a_day() -> None:
    """A position is kept for a day, so that a laptop that was closed overnight recovers."""
    clock = Clock()
    broker = MemoryBroker(clock=clock)
    position = await broker.publish("news", b"1", KEPT)
    clock.now += 86_399
    assert (await broker.history("news", ALL, KEPT)).position == position


async def test_what_nobody_asks_for_is_swept_away() -> None:
    """Expired channels are removed without being used again."""
    clock = Clock()
    broker = MemoryBroker(clock=clock, position_seconds=1)
    for number in range(100):
        await broker.publish(f"c{number}", b"x" * 1000, KEPT)
    assert len(broker._streams) == 100
    clock.now += 200
    await broker.start(Events())
    assert len(broker._streams) == 0
    await broker.stop()


async def test_idempotency_keys_are_bounded_and_swept() -> None:
    """Idempotency keys expire by time, and the oldest are removed above a maximum."""
    clock = Clock()
    broker = MemoryBroker(clock=clock)
    await broker.publish("news", b"1", KEPT, idempotency_key="first")
    for number in range(MAX_IDEMPOTENCY_KEYS):
        await broker.publish("other", b"1", None, idempotency_key=str(number))
    again = await broker.publish("news", b"1", KEPT, idempotency_key="first")
    assert again is not None
    assert again.offset == 2
    clock.now += 299.9
    assert await broker.publish("news", b"1", KEPT, idempotency_key="first") == again
    clock.now += 0.2
    later = await broker.publish("news", b"1", KEPT, idempotency_key="first")
    assert later is not None
    assert later.offset == 3
