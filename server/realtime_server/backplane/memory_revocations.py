"""Revocations within one process."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence

from realtime_server.core.model.revocation import Revocation, merged
from realtime_server.core.ports.backplane import RevocationPage


class MemoryRevocations:
    """Revocations within one process: implements RevocationStore. `wall_clock` is Unix time in seconds."""

    def __init__(self, *, most: int, page_size: int, wall_clock: Callable[[], float] = time.time) -> None:
        self._most = most
        self._page_size = page_size
        self._wall_clock = wall_clock
        self._kept: dict[tuple[str, str], tuple[int, Revocation]] = {}
        """Pairs of the number of the last change and the revocation, in the order of changes."""
        self._last = 0

    async def add(self, revocations: Sequence[Revocation]) -> bool:
        """Keep revocations; see RevocationStore."""
        self._drop_expired()
        new = {one.subject for one in revocations} - self._kept.keys()
        if len(self._kept) + len(new) > self._most:
            return False
        for one in revocations:
            known = self._kept.get(one.subject)
            kept = one if known is None else merged(known[1], one)
            if known is None or kept != known[1]:
                self._kept.pop(one.subject, None)
                self._last += 1
                self._kept[one.subject] = (self._last, kept)
        return True

    async def read(self, since: str = "") -> RevocationPage:
        """Read a page; see RevocationStore."""
        self._drop_expired()
        place = int(since or 0)
        page = list(itertools.islice((entry for entry in self._kept.values() if entry[0] > place), self._page_size))
        return RevocationPage(
            position=str(page[-1][0] if page else place),
            revocations=tuple(one for _, one in page),
            from_start=not since,
            complete=len(page) < self._page_size,
        )

    def _drop_expired(self) -> None:
        now = self._wall_clock()
        for subject in [subject for subject, (_, one) in self._kept.items() if one.expires_at <= now]:
            del self._kept[subject]
