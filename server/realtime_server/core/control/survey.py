"""Survey of all workers: collection of their answers within a time limit."""

from __future__ import annotations

import asyncio
import fnmatch
import re
import secrets
from collections import Counter
from collections.abc import Iterable, Mapping

from realtime_server.codes import INTERNAL, LIMIT_EXCEEDED
from realtime_server.core.model.errors import CommandError

SURVEY_SECONDS = 1.0
MAX_CHANNELS = 10_000
"""Maximum number of channels in one worker's answer; a pattern that matches more fails."""


class Surveys:
    """Open surveys of one worker."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Survey] = {}

    def open(self, workers: Iterable[str]) -> tuple[str, asyncio.Future[Mapping[str, int]]]:
        """Open a survey of these workers; return its id and the future sum of their answers."""
        ident = secrets.token_hex(8)
        survey = self._waiting[ident] = _Survey(set(workers))
        return ident, survey.answer

    async def result(self, ident: str, answer: asyncio.Future[Mapping[str, int]]) -> Mapping[str, int]:
        """Wait for all answers and close the survey.

        Raises CommandError INTERNAL when one is missing after the time limit, since a partial sum would be wrong, and
        LIMIT_EXCEEDED when one is incomplete.
        """
        try:
            async with asyncio.timeout(SURVEY_SECONDS):
                return await answer
        except TimeoutError:
            raise CommandError(INTERNAL) from None
        finally:
            self._waiting.pop(ident, None)

    def take(self, ident: str, worker: str, counts: Mapping[str, int], *, complete: bool) -> None:
        """Add a worker's answer; answers to closed surveys are ignored."""
        survey = self._waiting.get(ident)
        if survey is not None:
            survey.take(worker, counts, complete=complete)


class _Survey:
    def __init__(self, workers: set[str]) -> None:
        self._missing = workers
        self._sum: Counter[str] = Counter()
        self.answer: asyncio.Future[Mapping[str, int]] = asyncio.get_running_loop().create_future()

    def take(self, worker: str, counts: Mapping[str, int], *, complete: bool) -> None:
        if self.answer.done() or worker not in self._missing:
            return
        self._missing.discard(worker)
        self._sum.update(counts)
        if not complete:
            self.answer.set_exception(CommandError(LIMIT_EXCEEDED))
        elif not self._missing:
            self.answer.set_result(self._sum)


def matching(pattern: str, counts: Iterable[tuple[str, int]]) -> tuple[dict[str, int], bool]:
    """Return the channels that match a pattern (`*`, `?`; empty: all), and whether these are all of them."""
    fits = re.compile(fnmatch.translate(pattern or "*")).match
    found: dict[str, int] = {}
    for channel, count in counts:
        if fits(channel):
            if len(found) >= MAX_CHANNELS:
                return found, False
            found[channel] = count
    return found, True
