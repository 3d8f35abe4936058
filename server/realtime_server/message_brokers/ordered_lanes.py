"""Order of work on the same subject, without holding up work on others."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection


class OrderedLanes:
    """Runs work in the order of the calls where it has a key in common, and all else concurrently."""

    def __init__(self) -> None:
        self._last: dict[str, asyncio.Future[None]] = {}
        """The latest work of each key that is not done."""

    def __len__(self) -> int:
        """Return the number of keys with work that is not done."""
        return len(self._last)

    async def run(self, keys: Collection[str], work: Callable[[], Awaitable[None]]) -> None:
        """Run `work` after all earlier work of the keys; its place is taken before the first suspension.

        When earlier work was cancelled or has failed, this is cancelled too: it must not overtake.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        earlier = {self._last[key] for key in keys if key in self._last}
        self._last.update(dict.fromkeys(keys, done))
        try:
            if earlier:
                await _all_done(earlier)
            await work()
        except BaseException:
            done.cancel()
            raise
        finally:
            for key in keys:
                if self._last.get(key) is done:
                    del self._last[key]
        done.set_result(None)


async def _all_done(earlier: set[asyncio.Future[None]]) -> None:
    await asyncio.wait(earlier)  # unlike await, it does not cancel them when this is cancelled
    if any(one.cancelled() for one in earlier):
        raise asyncio.CancelledError
