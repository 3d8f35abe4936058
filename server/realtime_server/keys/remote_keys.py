"""The keys that an identity provider publishes, read over HTTP and kept: implements RemoteKeys."""

from __future__ import annotations

import asyncio
import contextlib
import random
import ssl
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import structlog

from realtime_server.core.web_token import TokenKey
from realtime_server.keys.json_web_keys import DocumentError, read_keys

logger = structlog.get_logger()

MAX_DOCUMENT_BYTES = 1_048_576
FETCH_AGAIN_SECONDS = 5.0
"""Tokens with unknown keys make the document be read at most so often."""
RETRY_SECONDS = 5.0
MAX_MISSING = 1024
JITTER = 0.1
"""This part of the interval is left to chance: workers do not all read in the same moment."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where the document is. `refresh` and `timeout` in seconds; the CA file is for a private certificate."""

    url: str
    refresh: float = 300.0
    timeout: float = 5.0
    ca_file: Path | None = None


class HttpKeys:
    """Reads the document at the start, every `refresh` seconds, and when a token names an unknown key.

    While it cannot be read the keys that were read last are used (RFC 7517 has no end for them); `outcomes` counts.
    """

    def __init__(self, source: Source, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._clock = clock
        self._known: tuple[TokenKey, ...] = ()
        self._missing: dict[str, None] = {}
        self._fetched_at: float | None = None
        self._fetching: asyncio.Task[None] | None = None
        self._refreshing: asyncio.Task[None] | None = None
        self._session: aiohttp.ClientSession | None = None
        self.outcomes: Counter[str] = Counter()

    @property
    def known(self) -> Sequence[TokenKey]:
        """See RemoteKeys."""
        return self._known

    @property
    def loaded(self) -> bool:
        """See RemoteKeys."""
        return bool(self._known)

    @property
    def may_fetch(self) -> bool:
        """See RemoteKeys."""
        fetched_at = self._fetched_at
        return self._fetching is not None or fetched_at is None or self._clock() - fetched_at >= FETCH_AGAIN_SECONDS

    def is_missing(self, key_id: str) -> bool:
        """See RemoteKeys."""
        return key_id in self._missing

    async def start(self) -> None:
        """Read the document, and again from time to time; returns after the first attempt, whatever became of it."""
        context = ssl.create_default_context(cafile=self._source.ca_file)
        timeout = aiohttp.ClientTimeout(total=self._source.timeout)
        self._session = aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(ssl=context, limit=1))
        await self.fetch("")
        self._refreshing = asyncio.create_task(self._refresh(), name="jwks-refresh")

    async def stop(self) -> None:
        """End it. Idempotent."""
        for task in (self._refreshing, self._fetching):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        if self._session is not None:
            await self._session.close()

    async def fetch(self, key_id: str) -> None:
        """See RemoteKeys."""
        if self._fetching is None:
            if not self.may_fetch:
                return
            self._fetching = asyncio.create_task(self._fetch(), name="jwks-fetch")
        await asyncio.shield(self._fetching)
        if key_id and all(key.key_id != key_id for key in self._known):
            if len(self._missing) >= MAX_MISSING:
                del self._missing[next(iter(self._missing))]
            self._missing[key_id] = None

    async def _refresh(self) -> None:
        while True:
            pause = self._source.refresh if self.loaded else RETRY_SECONDS
            await asyncio.sleep(pause * random.uniform(1 - JITTER, 1))  # noqa: S311 - spreads the workers
            await self.fetch("")

    async def _fetch(self) -> None:
        try:
            self._known = read_keys(await self._read())
            self._missing.clear()
            self.outcomes["ok"] += 1
        except (aiohttp.ClientError, TimeoutError, OSError, DocumentError) as error:
            self.outcomes["failed"] += 1
            reason = str(error) or type(error).__name__
            logger.warning("keys of tokens cannot be read", url=self._source.url, error=reason, kept=len(self._known))
        finally:
            self._fetched_at = self._clock()
            self._fetching = None

    async def _read(self) -> bytes:
        assert self._session is not None
        async with self._session.get(self._source.url, allow_redirects=False) as response:
            if response.status != 200:
                raise DocumentError(f"the answer is {response.status}")
            body = await response.content.read(MAX_DOCUMENT_BYTES + 1)
            while len(body) <= MAX_DOCUMENT_BYTES and (more := await response.content.read(MAX_DOCUMENT_BYTES)):
                body += more
            if len(body) > MAX_DOCUMENT_BYTES:
                raise DocumentError(f"is larger than {MAX_DOCUMENT_BYTES} bytes")
            return body
