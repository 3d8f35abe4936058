"""A bounded queue of events that outlives the worker that filled it: what hooks are delivered from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class QueuedEvent:
    """An event that was taken; `ident` is what `done` wants."""

    ident: str
    event: bytes


class EventQueue(Protocol):
    """Events in order, each handled at least once by one of several consumers.

    An event stays until `done`: one that a consumer took and never finished is given to another by `reclaim`. All
    methods may raise BackplaneError, and nothing else. An `append` that raised may have appended all the same.
    """

    async def append(self, event: bytes) -> bool:
        """Add an event. False when the queue was full, so that its oldest event had to go."""

    async def take(self, consumer: str, count: int, wait_seconds: float) -> Sequence[QueuedEvent]:
        """At most `count` events that nobody has taken, oldest first; waits so long for the first, then returns none.

        `consumer` names who takes them, and is unique among all workers. One call at a time for each queue object.
        """

    async def done(self, idents: Sequence[str]) -> None:
        """These events were handled; unknown ones are ignored."""

    async def reclaim(self, consumer: str, idle_seconds: float, count: int = 100) -> Sequence[QueuedEvent]:
        """Take over at most `count` events that were taken so long ago and are not done, oldest first.

        Also for what this consumer has taken itself: `idle_seconds` must be longer than handling an event takes.
        """

    async def size(self) -> int:
        """How many events are not done."""
