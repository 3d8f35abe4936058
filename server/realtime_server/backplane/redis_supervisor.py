"""Supervision of one link to Redis: it reconnects with growing, jittered pauses while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable

import structlog
from redis.exceptions import ResponseError

from realtime_server.backplane.redis_link import Link, Target, Timing
from realtime_server.core.model.errors import BackplaneError

logger = structlog.get_logger()


class LinkSupervisor:
    """Owner of one link that is re-established after each loss.

    `greet` prepares a new link, which is available as `link` only afterwards. `on_up` is called when the link is back
    after a loss, `on_lost` when it is lost. `on_message` receives the pub/sub messages.
    """

    def __init__(
        self,
        name: str,
        target: Target,
        timing: Timing,
        *,
        greet: Callable[[Link], Awaitable[None]],
        on_up: Callable[[], None],
        on_lost: Callable[[], None],
        on_message: Callable[[bytes, bytes], None] | None = None,
    ) -> None:
        self._name = name
        self._target = target
        self._timing = timing
        self._greet = greet
        self._on_up = on_up
        self._on_lost = on_lost
        self._on_message = on_message
        self._retry_now = asyncio.Event()
        self._link: Link | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def usable(self) -> bool:
        """True while there is a link that is not known to be broken."""
        return self._link is not None and self._link.usable

    @property
    def link(self) -> Link:
        """Current link. Raises BackplaneError while there is none."""
        if self._link is None:
            raise BackplaneError("no link to Redis")
        return self._link

    async def start(self) -> None:
        """Connect, then keep reconnecting in a task. Raises BackplaneError when the first attempt fails."""
        self._link = await self._connect()
        self._task = asyncio.create_task(self._keep(self._link), name=f"redis-supervisor-{self._name}")

    def begin(self) -> None:
        """Keep connecting in a task, without waiting for the first attempt."""
        self._task = asyncio.create_task(self._keep(None), name=f"redis-supervisor-{self._name}")

    def retry_now(self) -> None:
        """Abort the attempt under way and try again at once, when there is reason to expect success."""
        self._retry_now.set()

    def switch(self, reason: str) -> None:
        """Reconnect without delay, because the primary was replaced."""
        if self._link is not None:
            self._link.mark_broken(reason)
        self.retry_now()

    async def stop(self) -> None:
        """Stop reconnecting and close the link. Idempotent."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        if self._link is not None:
            await self._link.close()
            self._link = None

    async def _keep(self, link: Link | None) -> None:
        while True:
            if link is not None:
                reason = await link.wait_broken()
                self._link = None
                await link.close()
                logger.warning("redis link lost", link=self._name, reason=reason)
                self._on_lost()
            self._link = link = await self._reconnect()
            logger.info("redis link restored", link=self._name)
            self._on_up()

    async def _reconnect(self) -> Link:
        self._retry_now.clear()
        pause = self._timing.retry_first
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause * random.uniform(0.5, 1)):  # noqa: S311 - spreads the servers' attempts
                    await self._retry_now.wait()
            self._retry_now.clear()
            try:
                return await self._attempt()
            except BackplaneError as error:
                logger.info("redis cannot be reached", link=self._name, reason=str(error))
            pause = self._timing.retry_first if self._retry_now.is_set() else min(2 * pause, self._timing.retry_most)
            self._retry_now.clear()

    async def _attempt(self) -> Link:
        """Connect. Raises BackplaneError on failure, or when `retry_now` asks for a new attempt."""
        connecting = asyncio.create_task(self._connect(), name=f"redis-connect-{self._name}")
        retried = asyncio.create_task(self._retry_now.wait(), name=f"redis-retry_now-{self._name}")
        try:
            await asyncio.wait((connecting, retried), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            connecting.cancel()
            await self._discard(connecting)
            raise
        finally:
            retried.cancel()
        if connecting.done():
            return connecting.result()
        connecting.cancel()
        await self._discard(connecting)
        raise BackplaneError("given up for another attempt")

    @staticmethod
    async def _discard(connecting: asyncio.Task[Link]) -> None:
        """Wait for a cancelled attempt, and close its link if it succeeded all the same."""
        (outcome,) = await asyncio.gather(connecting, return_exceptions=True)
        if isinstance(outcome, Link):
            await outcome.close()

    async def _connect(self) -> Link:
        link = await Link.open(self._target, self._timing, self._on_message)
        try:
            await self._target.check(link)
            await self._greet(link)
        except BaseException as error:
            await link.close()
            if isinstance(error, ResponseError):
                raise BackplaneError(f"Redis refused: {error}") from error
            raise
        return link
