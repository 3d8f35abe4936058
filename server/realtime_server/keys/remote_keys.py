"""Cache of the keys that an identity provider publishes: implements RemoteKeys."""

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
"""Minimum time between two fetches that tokens with unknown keys cause."""
RETRY_SECONDS = 5.0
"""First pause after a failure; each further failure doubles it, up to the regular interval."""
MAX_MISSING = 1024
JITTER = 0.1
"""Random part of each pause, so that the workers do not fetch at the same moment."""


class Document(Protocol):
    """JWK Set that is read from elsewhere."""

    @property
    def url(self) -> str:
        """URL of the document, for the log."""

    async def read(self) -> bytes:
        """Fetch the document, within bounds of time and size. Raises DocumentError."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """Refresh interval of the keys and their maximum age while they cannot be fetched, in seconds."""

    refresh: float = 300.0
    max_age: float = 86_400.0


class PublishedKeys:
    """Keys of a provider, fetched at the start, at intervals, and when a token names an unknown key.

    While they cannot be fetched the last ones stay valid until `max_age`: an outage of the provider affects no client
    whose key is known, and a withdrawn key is trusted no longer than that. `clock` is monotonic seconds.
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
        """Number of successful (`ok`) and failed (`failed`) fetches."""

    @property
    def known(self) -> Sequence[TokenKey]:
        """See RemoteKeys."""
        if self._known and self.age > self._freshness.max_age:
            logger.warning(
                "token keys are too old and are not used any more", url=self._document.url, age=round(self.age)
            )
            self._known = ()
        return self._known

    @property
    def loaded(self) -> bool:
        """See RemoteKeys."""
        return bool(self.known)

    @property
    def age(self) -> float:
        """Seconds since the last successful fetch; 0 before the first."""
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
        """Fetch the keys, then start refreshing them. Returns after the first attempt, successful or not."""
        await self.fetch("")
        self._refreshing = asyncio.create_task(self._refresh(), name="jwks-refresh")

    async def stop(self) -> None:
        """Stop refreshing and cancel a fetch that is under way. Idempotent."""
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
        await asyncio.wait({self._fetching})  # callers share one fetch; a caller that is cancelled does not cancel it
        looked_up = self.outcomes["ok"] > reads
        if looked_up and key_id and all(key.key_id != key_id for key in self.known):
            self._remember_missing(key_id)

    def pause(self) -> float:
        """Return the seconds until the next regular fetch: shorter after failures, with jitter."""
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
            logger.warning("token keys cannot be read", url=self._document.url, error=str(error), kept=len(self._known))
        else:
            self._failures = 0
            self._read_at = self._clock()
            self._missing.clear()
            self.outcomes["ok"] += 1
        finally:
            self._asked_at = self._clock()
            self._fetching = None

    def _remember_missing(self, key_id: str) -> None:
        """Remember that the provider has no such key. Call only after a successful fetch: an outage proves nothing."""
        if len(self._missing) >= MAX_MISSING:
            del self._missing[next(iter(self._missing))]
        self._missing[key_id] = None
