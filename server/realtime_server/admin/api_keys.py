"""Keys of the server API: the methods, channels and call rate that each permits."""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from realtime_server.admin.responses import same_secret
from realtime_server.core.limits.rates import TokenBucket
from realtime_server.settings import Api, SecretFile

ONLY_KEY = "default"
"""Name of the key with all permissions."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Key of the server API. Empty `methods` or `channels` permit all; `calls` is None without a rate limit."""

    name: str
    read: Callable[[], str]
    methods: frozenset[str] = frozenset()
    channels: tuple[re.Pattern[str], ...] = ()
    calls: TokenBucket | None = field(default=None, compare=False)

    def may_call(self, method: str) -> bool:
        """Return True when the key permits this method."""
        return not self.methods or method in self.methods

    def may_use(self, channels: Iterable[str]) -> bool:
        """Return True when the key permits all of these channels.

        A call without channels needs a key for all channels.
        """
        if not self.channels:
            return True
        named = list(channels)
        return bool(named) and all(any(pattern.match(channel) for pattern in self.channels) for channel in named)


def both(key_file: Path) -> tuple[Path, Path]:
    """Return the file of the key, and that of its alternate value beside it, which need not exist.

    While the key is rotated, the alternate value is the coming or the former one.
    """
    return key_file, key_file.with_name(f"{key_file.name}-alternate")


class ApiKeys:
    """Keys of a server, whose files are read again when they change."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = tuple(keys)

    @classmethod
    def of(cls, api: Api, *, clock: Callable[[], float] = time.monotonic, workers: int = 1) -> ApiKeys:
        """Return the keys of the settings; each worker allows its share of the calls per second."""
        found = [] if api.key_file is None else [ApiKey(ONLY_KEY, SecretFile(file).read) for file in both(api.key_file)]
        for key in api.keys:
            rate = key.calls_per_second / workers
            found.append(
                ApiKey(
                    key.name,
                    SecretFile(key.file).read,
                    frozenset(key.methods),
                    tuple(re.compile(fnmatch.translate(pattern)) for pattern in key.channels),
                    TokenBucket(rate, max(1.0, rate), clock()) if rate else None,
                )
            )
        return cls(found)

    def find(self, given: str) -> ApiKey | None:
        """Return the key that a caller presents, or None.

        All keys are compared, so that the time taken does not reveal which one fits.
        """
        fitting = [key for key in self._keys if same_secret(given, key.read())]
        return fitting[0] if fitting else None
