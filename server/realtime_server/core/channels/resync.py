"""Bounded concurrency for reading channels again that may have missed something."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from realtime_server.core.channels.channel import Channel
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.tasks import TaskGroup

AT_ONCE = 128
"""Maximum number of concurrent checks.

A worker that has lost its link checks all its channels; its messages to itself must not be delayed by that.
"""
RETRY_SECONDS = 0.5
"""Pause between attempts while the backplane is away, with jitter; each concurrent check has its own."""


class Resync:
    """Queue of channels to check, oldest first. A check that raises BackplaneError is repeated."""

    def __init__(self, tasks: TaskGroup, check: Callable[[Channel], Awaitable[None]]) -> None:
        self._tasks = tasks
        self._check = check
        self._waiting: dict[Channel, None] = {}
        self._running = 0

    def add(self, channel: Channel) -> None:
        """Schedule a check of a channel; a channel that waits already is checked once."""
        self._waiting[channel] = None
        if self._running < AT_ONCE:
            self._running += 1
            self._tasks.spawn(self._work(), "resync")

    async def _work(self) -> None:
        try:
            while self._waiting:
                channel = next(iter(self._waiting))
                del self._waiting[channel]
                try:
                    await self._check(channel)
                except BackplaneError:
                    self._waiting[channel] = None
                    await asyncio.sleep(RETRY_SECONDS * random.uniform(0.5, 1))  # noqa: S311 - spreads the attempts
        finally:
            self._running -= 1
