"""Publications that wait while it is not known what is before them, bounded in number and in bytes."""

from __future__ import annotations

from typing import TypeAlias

from realtime_server.core.values import Publication

MAX_PUBLICATIONS = 10_000
MAX_BYTES = 16 << 20
"""Of their data; several that wait for the same channel share it."""

Arrival: TypeAlias = tuple[Publication, str]
"""A publication and the epoch that it came with."""


class Backlog:
    """What has arrived, in its order. `overflowed`: something came above the bounds, and is not here."""

    __slots__ = ("_bytes", "arrivals", "overflowed")

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self.overflowed = False
        self._bytes = 0

    def take(self, publication: Publication, epoch: str) -> None:
        """Keep a publication, or note that there was no room for it; nothing is kept after that."""
        self._bytes += len(publication.encoded)
        if self.overflowed or len(self.arrivals) >= MAX_PUBLICATIONS or self._bytes > MAX_BYTES:
            self.overflowed = True
        else:
            self.arrivals.append((publication, epoch))

    def copy(self) -> Backlog:
        """The same, as another one."""
        made = Backlog()
        made.arrivals, made.overflowed, made._bytes = list(self.arrivals), self.overflowed, self._bytes
        return made
