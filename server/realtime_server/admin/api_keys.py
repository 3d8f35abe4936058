"""Who may call the server API: keys, each with what it may do and how often."""

from __future__ import annotations

import fnmatch
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from realtime_server.admin.responses import same_secret
from realtime_server.core.limits.rates import TokenBucket
from realtime_server.settings import Api, SecretFile

ONLY_KEY = "default"
"""Name of the key that may do everything."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key. No methods, no channels: all. `calls` is None where there is no limit."""

    name: str
    read: Callable[[], str]
    methods: frozenset[str] = frozenset()
    channels: tuple[re.Pattern[str], ...] = ()
    calls: TokenBucket | None = field(default=None, compare=False)

    def may_call(self, method: str) -> bool:
        """Whether the key is for this method."""
        return not self.methods or method in self.methods

    def may_use(self, channels: Iterable[str]) -> bool:
        """Whether the key is for these channels; a call about none is for keys of all channels."""
        if not self.channels:
            return True
        named = list(channels)
        return bool(named) and all(any(pattern.match(channel) for pattern in self.channels) for channel in named)


class ApiKeys:
    """The keys of a server. Their files are read again when they change."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = tuple(keys)

    @classmethod
    def of(cls, api: Api, *, clock: Callable[[], float] = time.monotonic, workers: int = 1) -> ApiKeys:
        """Those of the settings; each worker allows its share of the calls per second."""
        found = [ApiKey(ONLY_KEY, SecretFile(api.key_file).read)] if api.key_file is not None else []
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
        """The key that a caller has, if it is one. All are compared, so that the time says nothing about which."""
        fitting = [key for key in self._keys if same_secret(given, key.read())]
        return fitting[0] if fitting else None
