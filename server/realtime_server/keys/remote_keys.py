"""The keys that an identity provider publishes, read and kept: implements RemoteKeys."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import structlog

from realtime_server.core.auth.web_token import TokenKey
from realtime_server.keys.json_web_keys import DocumentError, read_keys

logger = structlog.get_logger()

FETCH_AGAIN_SECONDS = 5.0
"""Tokens with unknown keys make the document be read at most so often."""
RETRY_SECONDS = 5.0
"""The first pause after a failure; each further one is twice as long, up to the usual pause."""
MAX_MISSING = 1024
JITTER = 0.1
"""This part of a pause is left to chance: workers do not all read in the same moment."""


class Document(Protocol):
    """A JWK Set somewhere else."""

    @property
    def url(self) -> str:
        """Where it is."""

    async def read(self) -> bytes:
        """What is there now, within bounded time and size; raises DocumentError."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How often the keys are read, and how long they are used while they cannot be read; seconds."""

    refresh: float = 300.0
    max_age: float = 86_400.0


class PublishedKeys:
    """Reads the keys at the start, from time to time, and when a token names an unknown one.

    While they cannot be read the former ones are used until `max_age`, so that an outage of the provider stops nobody
    whose key is known; a key that was withdrawn meanwhile is trusted no longer than that. `clock` is monotonic seconds.
    """

    def __init__(
        self, document: Document, freshness: Freshness = Freshness(), *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._document = document
        self._freshness = freshness
        self._clock = clock
        self._known: tuple[TokenKey, ...] = ()
        self._missing: dict[str, None] = {}
        self._asked_at: float | None = None
        self._read_at: float | None = None
        self._failures = 0
        self._fetching: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self.outcomes: Counter[str] = Counter()
        """How often they were read (`ok`) and could not be read (`failed`)."""

    @property
    def known(self) -> Sequence[TokenKey]:
        """See RemoteKeys."""
        if self._known and self.age > self._freshness.max_age:
            logger.warning("keys of tokens are too old to be used", url=self._document.url, age=round(self.age))
            self._known = ()
        return self._known

    @property
    def loaded(self) -> bool:
        """See RemoteKeys."""
        return bool(self.known)

    @property
    def age(self) -> float:
        """Seconds since the keys were last read; 0 before that."""
        return 0.0 if self._read_at is None else self._clock() - self._read_at

    @property
    def may_fetch(self) -> bool:
        """See RemoteKeys."""
        asked_at = self._asked_at
        return self._fetching is not None or asked_at is None or self._clock() - asked_at >= FETCH_AGAIN_SECONDS

    def is_missing(self, key_id: str) -> bool:
        """See RemoteKeys."""
        return key_id in self._missing

    async def start(self) -> None:
        """Read them, and again from time to time; returns after the first attempt, whatever became of it."""
        await self.fetch("")
        self._refreshing = asyncio.create_task(self._refresh(), name="jwks-refresh")

    async def stop(self) -> None:
        """End it. Idempotent."""
        for task in (self._refreshing, self._fetching):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    async def fetch(self, key_id: str) -> None:
        """See RemoteKeys."""
        if self._fetching is None:
            if not self.may_fetch:
                return
            self._fetching = asyncio.create_task(self._fetch(), name="jwks-fetch")
        reads = self.outcomes["ok"]
        await asyncio.wait({self._fetching})  # all wait for one; none that goes away ends it for the others
        looked_up = self.outcomes["ok"] > reads
        if looked_up and key_id and all(key.key_id != key_id for key in self.known):
            self._remember_missing(key_id)

    def pause(self) -> float:
        """Seconds until they are to be read again, without a token asking for it."""
        usual = self._freshness.refresh
        if self._failures:
            # The exponent is bounded: a float has an end, an outage may not.
            usual = min(usual, RETRY_SECONDS * 2.0 ** min(self._failures - 1, 16))
        return usual * random.uniform(1 - JITTER, 1)  # noqa: S311 - spreads the workers

    async def _refresh(self) -> None:
        while True:
            await asyncio.sleep(self.pause())
            await self.fetch("")

    async def _fetch(self) -> None:
        try:
            self._known = read_keys(await self._document.read())
        except DocumentError as error:
            self._failures += 1
            self.outcomes["failed"] += 1
            logger.warning(
                "keys of tokens cannot be read", url=self._document.url, error=str(error), kept=len(self._known)
            )
        else:
            self._failures = 0
            self._read_at = self._clock()
            self._missing.clear()
            self.outcomes["ok"] += 1
        finally:
            self._asked_at = self._clock()
            self._fetching = None

    def _remember_missing(self, key_id: str) -> None:
        """That the provider has no such key. Only for what was really looked up: an outage says nothing about a key."""
        if len(self._missing) >= MAX_MISSING:
            del self._missing[next(iter(self._missing))]
        self._missing[key_id] = None
