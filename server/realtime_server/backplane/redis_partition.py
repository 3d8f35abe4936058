"""What a worker knows of one partition of the keys, whichever Redis it is in now."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from realtime_server.backplane import redis_scripts as scripts
from realtime_server.backplane.redis_canary import Canary
from realtime_server.backplane.redis_keys import Keys
from realtime_server.backplane.redis_link import Link, Timing
from realtime_server.backplane.redis_reply import as_int, as_list, milliseconds

SUBSCRIBE_AT_ONCE = 512
"""Channels in one command when all are subscribed again."""
WORKER_SECONDS = 172_800.0
"""How long a worker is remembered that is away, and what it had."""
GENERATION_SECONDS = 2_592_000.0
"""How long a generation is kept while no worker runs: longer than a cluster is away that comes back."""
GREET, SETTLED = b"greet", b"settled"
"""In the channel for gaps: every worker should greet, for the primary is another run; all have greeted. Else a loss."""


class PubSub:
    """The commands of one kind of pub/sub: sharded in a cluster, the old one elsewhere."""

    def __init__(self, *, sharded: bool) -> None:
        letter = b"S" if sharded else b""
        self.publish, self.subscribe, self.unsubscribe = (
            letter + b"PUBLISH",
            letter + b"SUBSCRIBE",
            letter + b"UNSUBSCRIBE",
        )


class Partition:
    """The number that shows losses, the pub/sub channels that are wanted, and the canary."""

    def __init__(self, index: int, keys: Keys, worker: str, timing: Timing, pubsub: PubSub) -> None:
        self.index = index
        self.slot = keys.slot(index)
        self.settling = False
        """Whether other workers are waited for, so that no position is given."""
        self.forgotten = False
        """Whether Redis has evicted the generation, so that another one is needed."""
        self.canary = Canary(timing.canary_overdue)
        self.gaps, self.echo = keys.named(index, "gap"), keys.named(index, "echo", worker)
        self.wanted: dict[bytes, None] = dict.fromkeys((self.gaps, self.echo))
        """Pub/sub channels."""
        self.generation = keys.named(index, "generation")
        self.seen, self._awaited = keys.named(index, "seen"), keys.named(index, "awaited")
        self._worker = worker
        self._timing = timing
        self._pubsub = pubsub
        self._number = 0
        """The greatest number of a publication that is known here."""
        self._greeted = False

    def healthy(self, now: float) -> bool:
        """Whether what is published is known to arrive, and positions may be given; by the event loop's clock."""
        return not self.settling and self.canary.proven and not self.canary.overdue(now)

    def note(self, number: int) -> None:
        """A publication was confirmed or has arrived; they are numbered through all channels of the partition."""
        self._number = max(self._number, number)

    async def greet(self, link: Link, candidate: str) -> None:
        """Find out whether publications were lost, see scripts/greet.lua."""
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
        """Say that this worker lives, and send the canary."""
        message = self.canary.send(asyncio.get_running_loop().time())
        reply = await link.run(
            scripts.BEAT, (self.seen, self.generation),
            self._worker, self._pubsub.publish, self.echo, message, milliseconds(WORKER_SECONDS),
            milliseconds(GENERATION_SECONDS),
        )  # fmt: skip
        self.forgotten = not as_int(reply)

    async def leave(self, link: Link) -> None:
        """The worker ends: nobody has to wait for it."""
        await link.run(scripts.LEAVE, (self.seen, self._awaited), self._worker)

    async def listen(self, link: Link) -> None:
        """Subscribe to all that is wanted."""
        names = list(self.wanted)
        for start in range(0, len(names), SUBSCRIBE_AT_ONCE):
            await self.subscribe(link, names[start : start + SUBSCRIBE_AT_ONCE])
        for name in names:
            if name not in self.wanted:  # given up meanwhile
                link.forget(self._pubsub.unsubscribe, name)
        self.canary.forget()

    async def subscribe(self, link: Link, names: Sequence[bytes]) -> None:
        """Returns when Redis has confirmed."""
        await link.call(self._pubsub.subscribe, *names, replies=len(names))
