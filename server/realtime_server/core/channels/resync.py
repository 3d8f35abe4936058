"""Channels that may have missed something are read again from the history: some at a time, however many they are."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from realtime_server.core.channels.channel import Channel
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.tasks import TaskGroup

AT_ONCE = 128
"""A worker that has lost its link has to check all its channels. So many questions are asked at the same time, so that
messages of the worker to itself are not late behind them."""
RETRY_SECONDS = 0.5
"""Between attempts while the backplane is away, with jitter; each of those that are asked at once has one."""


class Resync:
    """Works off the channels that wait, oldest first. `check` may raise BackplaneError, and is then called again."""

    def __init__(self, tasks: TaskGroup, check: Callable[[Channel], Awaitable[None]]) -> None:
        self._tasks = tasks
        self._check = check
        self._waiting: dict[Channel, None] = {}
        self._running = 0

    def add(self, channel: Channel) -> None:
        """Check a channel soon; once, however often it is asked for before its turn comes."""
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
