"""Port for what other programs write to the backplane: messages, and entries of a stream."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FeedSource:
    """What is read: pub/sub channels, patterns of such channels as Redis knows them, and a stream, "" for none."""

    channels: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    stream: str = ""


class FeedReceiver(Protocol):
    """Receiver of a feed; nothing is raised."""

    def on_message(self, name: str, payload: bytes) -> None:
        """Handle a message. `name` is the channel, or the pattern that it matches: a message comes for each of them."""

    async def on_entry(self, fields: Mapping[bytes, bytes]) -> None:
        """Handle an entry of the stream. The next one comes when this is done."""


class Feed(Protocol):
    """Feed of a worker, which gets everything, as every worker does.

    Messages that are published while there is no link are lost. Entries of the stream that were added meanwhile come
    later, if they are still there, and each comes once. What was written before the start does not come.
    """

    async def start(self, receiver: FeedReceiver) -> None:
        """Begin; return when all sources are connected, however long that takes."""

    async def stop(self) -> None:
        """End. Idempotent."""

    @property
    def connected(self) -> bool:
        """True while all sources are connected."""
