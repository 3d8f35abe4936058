"""Account of a steady publisher at one server: what was confirmed, what is kept, and what was reported."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.values import HistoryOptions, HistoryQuery, StreamPosition
from realtime_server.core.ports.backplane import Broker
from tests.kit.deadline import eventually

KEPT = HistoryOptions(size=10_000, ttl_seconds=60)
CHANNEL = "account"
PER_SECOND = 50


@dataclass
class Account:
    """Consecutive publications: the position of each confirmed one, and the reasons why others were not confirmed."""

    broker: Broker
    confirmed: dict[bytes, StreamPosition] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)
    longest: float = 0.0
    """Longest call in seconds."""

    async def publish(self) -> None:
        """Publish at PER_SECOND until cancelled."""
        number = 0
        while True:
            number += 1
            text, began = b"%d" % number, time.monotonic()
            try:
                position = await self.broker.publish(CHANNEL, text, KEPT)
            except BackplaneError as error:
                self.failed.append(str(error))
            else:
                assert position is not None
                self.confirmed[text] = position
            took = time.monotonic() - began
            self.longest = max(self.longest, took)
            await asyncio.sleep(max(0.0, 1 / PER_SECOND - took))

    async def confirm_more(self, number: int, *, within: float) -> None:
        """Wait until a number of further publications are confirmed."""
        wanted = len(self.confirmed) + number

        async def read() -> int:
            return len(self.confirmed)

        await eventually(read, lambda seen: seen >= wanted, what=f"{number} more confirmed", within=within)

    async def lost(self) -> list[bytes]:
        """Return the confirmed publications that are not kept; fail where a client was told something untrue.

        A retained publication exists once, at its confirmed position, unless that is invalid. The epoch shows the
        invalidity of a lost publication's position.
        """
        page = await self.broker.history(CHANNEL, HistoryQuery(limit=-1), KEPT)
        kept = {publication.encoded: publication.offset for publication in page.publications}
        assert len(kept) == len(page.publications)
        assert all(kept.get(text) in {None, position.offset} for text, position in self.confirmed.items())
        lost = [text for text in self.confirmed if text not in kept]
        assert all(self.confirmed[text].epoch != page.position.epoch for text in lost)
        return lost

    @property
    def epochs(self) -> int:
        """Return the number of epochs of the confirmed publications."""
        return len({position.epoch for position in self.confirmed.values()})


@contextlib.asynccontextmanager
async def publishing(broker: Broker) -> AsyncIterator[Account]:
    """Publish while the body runs."""
    account = Account(broker)
    task = asyncio.create_task(account.publish(), name="account")
    try:
        yield account
    finally:
        task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(outcome, asyncio.CancelledError), outcome
