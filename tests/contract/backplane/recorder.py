"""Recorder of a broker's events."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from realtime_server.core.model.values import Publication, StreamPosition

WITHIN_SECONDS = 10.0


@dataclass(frozen=True)
class Arrival:
    """Publication that arrived."""

    channel: str
    publication: Publication
    epoch: str

    @property
    def position(self) -> StreamPosition:
        """Position of the publication."""
        return StreamPosition(self.publication.offset, self.epoch)


@dataclass
class Recorder:
    """Receiver that records a broker's events."""

    arrivals: list[Arrival] = field(default_factory=list)
    controls: list[bytes] = field(default_factory=list)
    gaps: int = 0
    interruptions: list[int] = field(default_factory=list)
    """Number of the arrivals before each."""
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        self.arrivals.append(Arrival(channel, publication, epoch))
        self._changed.set()

    def on_control(self, message: bytes) -> None:
        self.controls.append(message)
        self._changed.set()

    def on_interrupted(self) -> None:
        self.interruptions.append(len(self.arrivals))

    def on_gap(self) -> None:
        self.gaps += 1
        self._changed.set()

    def encoded(self, channel: str) -> list[bytes]:
        """Return the publications that arrived in a channel."""
        return [arrival.publication.encoded for arrival in self.arrivals if arrival.channel == channel]

    async def until(self, wanted: Callable[[Recorder], bool]) -> None:
        """Wait until the record satisfies a predicate."""
        try:
            async with asyncio.timeout(WITHIN_SECONDS):
                while not wanted(self):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise AssertionError(f"did not come: {self}") from None

    async def until_arrived(self, count: int) -> list[Arrival]:
        """Wait until a number of publications arrived, and return all of them."""
        await self.until(lambda seen: len(seen.arrivals) >= count)
        return self.arrivals
