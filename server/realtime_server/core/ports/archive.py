"""Port of core for streams as they are stored: to export the histories of all channels, and to import them elsewhere.

A stream is a sequence of parts. The first one says so, the last one has the stream's end. Parts are small enough to be
held in memory; a stream may be not.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from realtime_server.core.model.values import HistoryOptions

PART_PUBLICATIONS = 100
PART_BYTES = 1 << 20
"""Size of the publications in one part; a single larger one is a part by itself."""


class StoredPublication(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Publication in a stream; `published_at` is in milliseconds since the Unix epoch."""

    offset: int
    published_at: int
    encoded: bytes


class StreamEnd(msgspec.Struct, frozen=True, gc=False):
    """Position of a stream's newest publication, and the version of the newest one that had a version."""

    offset: int
    epoch: str
    version: int = 0
    version_epoch: str = ""


class StreamPart(msgspec.Struct, frozen=True, gc=False):
    """Publications of one stream, oldest first, with consecutive offsets, also from one part to the next."""

    channel: str
    first: bool
    publications: tuple[StoredPublication, ...]
    end: StreamEnd | None = None


class Imported(StrEnum):
    """What became of the parts of a stream.

    RESTORED: the stream is stored. PRESENT: it was there already, with the same epoch. OCCUPIED: the channel has
    another stream, which stays. INCOMPLETE: parts are missing, nothing is stored.
    """

    RESTORED = "restored"
    PRESENT = "present"
    OCCUPIED = "occupied"
    INCOMPLETE = "incomplete"


class StreamArchive(Protocol):
    """Streams of all channels. Every method may raise BackplaneError."""

    async def channels(self, cursor: str = "") -> tuple[Sequence[str], str]:
        """Return some of the channels that have a stream, and the cursor for the next ones, "" after the last.

        Channels that have a stream all the time are returned, once or more.
        """

    async def read(self, channel: str, after: int = 0) -> StreamPart | None:
        """Return the part of a stream after an offset; None when the channel has no stream. Creates nothing."""

    async def write(self, part: StreamPart, options: HistoryOptions, *, replace: bool) -> Imported | None:
        """Store a part aside; with the last one, make the stream the channel's in one atomic step.

        Returns None before the last part. Without `replace`, a stream in which something was published stays as it is.
        """
