"""Token keys in files, read again when they change."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import structlog

from realtime_server.core.auth.web_token import TokenKey, prepare
from realtime_server.settings import Auth, SecretFile

logger = structlog.get_logger()

LOOK_AGAIN_SECONDS = 1.0
"""Interval of the check for changed files; a check costs about as much as verifying a token."""


class KeyFiles:
    """Reader of key files, each with its algorithm; a key is at most LOOK_AGAIN_SECONDS old.

    A key that cannot be used is left out and logged once. `clock` is monotonic seconds.
    """

    def __init__(self, listed: Iterable[tuple[str, Path]], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._files = [(algorithm, path, SecretFile(path)) for algorithm, path in listed]
        self._clock = clock
        self._told: set[tuple[Path, str]] = set()
        self._keys: tuple[TokenKey, ...] = ()
        self._look_at: float | None = None

    def read(self) -> Sequence[TokenKey]:
        """Return the usable keys in the order of their files."""
        now = self._clock()
        if self._look_at is None or now >= self._look_at:
            self._look_at = now + LOOK_AGAIN_SECONDS
            self._keys = tuple(self._usable())
        return self._keys

    def _usable(self) -> Iterable[TokenKey]:
        for algorithm, path, file in self._files:
            key = TokenKey(algorithm, file.read())
            if key.text and prepare(key) is not None:
                yield key
            elif (path, key.text) not in self._told:
                self._told.add((path, key.text))
                why = "is no key for this algorithm" if key.text else "is not there, empty, or no text (UTF-8)"
                logger.warning("token key cannot be used", file=str(path), algorithm=algorithm, why=why)


def connection_keys(auth: Auth) -> Callable[[], Sequence[TokenKey]]:
    """Return a reader of the keys for connection tokens."""
    return KeyFiles((key.algorithm, key.file) for key in auth.token_keys).read


def subscription_keys(auth: Auth) -> Callable[[], Sequence[TokenKey]] | None:
    """Return a reader of the keys for subscription tokens; None when they are those for connection tokens."""
    if not auth.subscription_token_keys:
        return None
    return KeyFiles((key.algorithm, key.file) for key in auth.subscription_token_keys).read
