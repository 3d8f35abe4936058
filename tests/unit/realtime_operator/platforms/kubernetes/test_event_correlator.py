"""Tests of the correlation of Events."""

from __future__ import annotations

import pytest

from realtime_operator.planning.model.plan import EmitEvent, EventType
from realtime_operator.platforms.kubernetes.event_correlator import (
    AGGREGATED,
    INTERVAL_SECONDS,
    MAX_MESSAGE,
    MAX_REMEMBERED,
    MAX_SIMILAR,
    CorrelatedEvent,
    EventCorrelator,
)


class Recorded:
    """A correlator with a clock."""

    def __init__(self) -> None:
        self.correlator = EventCorrelator()
        self.now = 0.0

    def tell(self, message: str, *, reason: str = "Draining", uid: str = "u") -> CorrelatedEvent:
        """Correlate an Event, a second after the previous one."""
        self.now += 1
        return self.correlator.correlate("chat", uid, EmitEvent(EventType.NORMAL, reason, message), self.now)


def test_the_same_event_has_the_same_name_always() -> None:
    """The name is the same in another process and at any time, so that the existing Event is counted up."""
    recorded = Recorded()
    first = recorded.tell("a")
    recorded.now += 10 * INTERVAL_SECONDS
    assert recorded.tell("a") == first == Recorded().tell("a")
    assert first.name.startswith("chat.")


@pytest.mark.parametrize("other", [{"message": "b"}, {"reason": "Quiesced"}, {"uid": "v"}], ids=str)
def test_another_event_has_another_name(other: dict[str, str]) -> None:
    """Another message, another reason, and another object of the same name have other names."""
    recorded = Recorded()
    assert recorded.tell("a").name != recorded.tell(**{"message": "a", **other}).name


def test_many_that_differ_by_their_message_are_one() -> None:
    """From the tenth within ten minutes on they are one Event with the latest message; the first nine are separate."""
    recorded = Recorded()
    names = [recorded.tell(f"server {number}") for number in range(50)]
    alone, together = names[: MAX_SIMILAR - 1], names[MAX_SIMILAR - 1 :]
    assert len({event.name for event in alone}) == MAX_SIMILAR - 1
    assert len({event.name for event in together}) == 1
    assert together[-1].message == f"{AGGREGATED}server 49"
    assert recorded.tell("elsewhere", reason="Quiesced").message == "elsewhere"


def test_after_ten_minutes_of_silence_each_stands_alone_again() -> None:
    recorded = Recorded()
    for number in range(50):
        recorded.tell(f"server {number}")
    recorded.now += INTERVAL_SECONDS
    assert recorded.tell("server 50").message == "server 50"


def test_repeats_are_not_many() -> None:
    """A repeated message is counted, and not aggregated."""
    recorded = Recorded()
    assert {recorded.tell("a").message for _ in range(50)} == {"a"}


def test_messages_and_memory_are_bounded() -> None:
    """The API server refuses longer messages; remembered reasons are bounded."""
    recorded = Recorded()
    for number in range(MAX_REMEMBERED + 10):
        assert len(recorded.tell("x" * 5000, uid=str(number)).message) == MAX_MESSAGE
    assert len(recorded.correlator._similar) == MAX_REMEMBERED
