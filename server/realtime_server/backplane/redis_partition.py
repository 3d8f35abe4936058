"""State of one worker about one partition of the keys, independent of the Redis that holds it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from realtime_server.backplane import redis_scripts as scripts
from realtime_server.backplane.redis_canary import Canary
from realtime_server.backplane.redis_keys import Keys
from realtime_server.backplane.redis_link import Link, Timing
from realtime_server.backplane.redis_reply import as_int, as_list, milliseconds

SUBSCRIBE_AT_ONCE = 512
"""Channels per command when all are subscribed again."""
WORKER_SECONDS = 172_800.0
"""Time that an absent worker and its channels are remembered."""
GENERATION_SECONDS = 2_592_000.0
"""Time that a generation is kept without any running worker: longer than any outage of a cluster that returns."""
GREET, SETTLED = b"greet", b"settled"
"""Messages in the channel for gaps: all workers should greet, as the primary was replaced; or all have greeted.

Any other message reports a loss.
"""


class PubSub:
    """Pub/sub commands: sharded in a Redis Cluster, the classic ones elsewhere."""

    def __init__(self, *, sharded: bool) -> None:
        letter = b"S" if sharded else b""
        self.publish, self.subscribe, self.unsubscribe = (
            letter + b"PUBLISH",
            letter + b"SUBSCRIBE",
            letter + b"UNSUBSCRIBE",
        )


class Partition:
    """Publication counter that reveals losses, wanted pub/sub channels and canary of one partition."""

    def __init__(self, index: int, keys: Keys, worker: str, timing: Timing, pubsub: PubSub) -> None:
        self.index = index
        self.slot = keys.slot(index)
        self.settling = False
        """True while other workers are awaited and no position may be issued."""
        self.forgotten = False
        """True when Redis has evicted the generation, so that a new one is needed."""
        self.canary = Canary(timing.canary_overdue)
        self.gaps, self.echo = keys.named(index, "gap"), keys.named(index, "echo", worker)
        self.wanted: dict[bytes, None] = dict.fromkeys((self.gaps, self.echo))
        """Names of the pub/sub channels to be subscribed to, as an ordered set."""
        self.generation = keys.named(index, "generation")
        self.seen, self._awaited = keys.named(index, "seen"), keys.named(index, "awaited")
        self._worker = worker
        self._timing = timing
        self._pubsub = pubsub
        self._number = 0
        """Highest publication number that is known to this worker."""
        self._greeted = False

    def healthy(self, now: float) -> bool:
        """Return True when publications are known to arrive and positions may be issued.

        `now` is by the event loop's clock.
        """
        return not self.settling and self.canary.proven and not self.canary.overdue(now)

    def note(self, number: int) -> None:
        """Record the number of a publication that was confirmed or has arrived; numbers count through the partition."""
        self._number = max(self._number, number)

    async def greet(self, link: Link, candidate: str) -> None:
        """Run the greet script, which finds out whether publications were lost: see scripts/greet.lua."""
        timing = self._timing
        reply = await link.run(
            scripts.GREET, (self.generation, self.seen, self._awaited),
            self._worker, self._number, int(self._greeted), candidate, self._pubsub.publish, self.gaps,
            milliseconds(timing.settle), milliseconds(timing.silent), milliseconds(WORKER_SECONDS),
            milliseconds(GENERATION_SECONDS),
        )  # fmt: skip
        number, settling = as_list(reply)
        self._number, self.settling, self._greeted = as_int(number), bool(as_int(settling)), True
        self.forgotten = False

    async def beat(self, link: Link) -> None:
        """Report this worker as alive and publish the canary's next message."""
        message = self.canary.send(asyncio.get_running_loop().time())
        reply = await link.run(
            scripts.BEAT, (self.seen, self.generation),
            self._worker, self._pubsub.publish, self.echo, message, milliseconds(WORKER_SECONDS),
            milliseconds(GENERATION_SECONDS),
        )  # fmt: skip
        self.forgotten = not as_int(reply)

    async def leave(self, link: Link) -> None:
        """Remove this worker from those that others wait for, because it stops."""
        await link.run(scripts.LEAVE, (self.seen, self._awaited), self._worker)

    async def listen(self, link: Link) -> None:
        """Subscribe to all wanted pub/sub channels."""
        names = list(self.wanted)
        for start in range(0, len(names), SUBSCRIBE_AT_ONCE):
            await self.subscribe(link, names[start : start + SUBSCRIBE_AT_ONCE])
        for name in names:
            if name not in self.wanted:  # given up meanwhile
                link.forget(self._pubsub.unsubscribe, name)
        self.canary.forget()

    async def subscribe(self, link: Link, names: Sequence[bytes]) -> None:
        """Subscribe; return once Redis has confirmed all names."""
        await link.call(self._pubsub.subscribe, *names, replies=len(names))
