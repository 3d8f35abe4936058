"""A question to all workers of the cluster: collects their answers, within a time."""

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
"""Channels that one worker tells; whoever asks for more has to ask for fewer."""


class Surveys:
    """The questions of one worker that wait for answers."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Survey] = {}

    def open(self, workers: Iterable[str]) -> tuple[str, asyncio.Future[Mapping[str, int]]]:
        """A question to these workers: its id, and the sum of their answers."""
        ident = secrets.token_hex(8)
        survey = self._waiting[ident] = _Survey(set(workers))
        return ident, survey.answer

    async def result(self, ident: str, answer: asyncio.Future[Mapping[str, int]]) -> Mapping[str, int]:
        """Wait for all answers; raises CommandError INTERNAL when one does not come in time: a part would be a lie."""
        try:
            async with asyncio.timeout(SURVEY_SECONDS):
                return await answer
        except TimeoutError:
            raise CommandError(INTERNAL) from None
        finally:
            self._waiting.pop(ident, None)

    def take(self, ident: str, worker: str, counts: Mapping[str, int], *, complete: bool) -> None:
        """An answer has come; one that nobody waits for any more is dropped."""
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
    """Channels whose names match a pattern (`*` and `?`, empty: all), and whether these are all of them."""
    fits = re.compile(fnmatch.translate(pattern or "*")).match
    found: dict[str, int] = {}
    for channel, count in counts:
        if fits(channel):
            if len(found) >= MAX_CHANNELS:
                return found, False
            found[channel] = count
    return found, True
