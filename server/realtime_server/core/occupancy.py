"""Whether anybody, on any server, is subscribed to a channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class OccupancyChanges:
    """Channels that became occupied or vacated without anybody being told so far."""

    occupied: tuple[str, ...] = ()
    vacated: tuple[str, ...] = ()


class ChannelOccupancy(Protocol):
    """Counts the workers that have subscribers in a channel. All methods may raise BackplaneError.

    Every change of a channel between vacant and occupied is told to exactly one caller, as long as the backplane keeps
    its data. A worker that is gone without a word counts until another one's `missed_changes` finds it.
    """

    async def note_occupied(self, channel: str) -> bool:
        """The worker has subscribers in the channel; True if no worker had. Idempotent."""

    async def note_vacated(self, channel: str) -> bool:
        """The worker has no subscribers in the channel any more; True if no other worker has. Idempotent."""

    async def missed_changes(self) -> OccupancyChanges:
        """What changed without a call: workers that were silent for too long are struck out, in one atomic step each.

        To be called every few seconds by every worker. A worker that was taken for gone and is not puts its own
        channels back by it.
        """
