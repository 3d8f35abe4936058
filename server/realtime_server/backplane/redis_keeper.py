"""Keeps one link to Redis up: connects again, with growing and jittered pauses, for as long as it runs."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog
from redis.exceptions import ResponseError

from realtime_server.backplane.redis_link import Link, Target, Timing
from realtime_server.core.ports import BackplaneError

logger = structlog.get_logger()


class Keeper:
    """One link that is to be there always.

    `greet` prepares a new link; only then it is `link`. `on_up` is called when there is one again after a loss.
    """

    def __init__(
        self,
        name: str,
        target: Target,
        timing: Timing,
        *,
        greet: Callable[[Link], Awaitable[None]],
        on_up: Callable[[], None],
        on_message: Callable[[bytes, bytes], None] | None = None,
    ) -> None:
        self._name = name
        self._target = target
        self._timing = timing
        self._greet = greet
        self._on_up = on_up
        self._on_message = on_message
        self._link: Link | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def usable(self) -> bool:
        """Whether the link is there and not known to be broken."""
        return self._link is not None and self._link.usable

    @property
    def link(self) -> Link:
        """The link; raises BackplaneError while there is none."""
        if self._link is None:
            raise BackplaneError("no link to Redis")
        return self._link

    async def start(self) -> None:
        """Connect, and stay connected from now on; raises BackplaneError if the first attempt fails."""
        self._link = await self._connect()
        self._task = asyncio.create_task(self._keep(self._link), name=f"redis-keep-{self._name}")

    async def stop(self) -> None:
        """End the link. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._link is not None:
            await self._link.close()
            self._link = None

    async def _keep(self, link: Link) -> None:
        while True:
            reason = await link.wait_broken()
            self._link = None
            await link.close()
            logger.warning("redis link lost", link=self._name, reason=reason)
            self._link = link = await self._reconnect()
            logger.info("redis link is back", link=self._name)
            self._on_up()

    async def _reconnect(self) -> Link:
        pause = self._timing.retry_first
        while True:
            await asyncio.sleep(pause * random.uniform(0.5, 1))  # noqa: S311 - spreads the servers' attempts
            pause = min(2 * pause, self._timing.retry_most)
            try:
                return await self._connect()
            except BackplaneError as error:
                logger.info("redis is away", link=self._name, reason=str(error))

    async def _connect(self) -> Link:
        link = await Link.open(self._target, self._timing, self._on_message)
        try:
            await self._greet(link)
        except BaseException as error:
            await link.close()
            if isinstance(error, ResponseError):
                raise BackplaneError(f"Redis refused: {error}") from error
            raise
        return link
