"""Many stock subscribers of two SDKs on many channels, a publisher for all, and a record of what happened when."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field

from tests.kit.accounting import delivered
from tests.kit.api import Publisher, publishing
from tests.kit.clients import (
    Channel,
    ClientOptions,
    Connecting,
    Publication,
    StockClients,
    Subscribed,
    all_connected,
    all_subscribed,
)
from tests.kit.deadline import DeadlineMissedError, eventually
from tests.kit.document import number_at
from tests.kit.ledger import Account, Balance, balance, largest_rate
from tests.kit.python_sdk import PythonClients
from tests.kit.running_cluster import RunningCluster
from tests.kit.sdk import JavaScriptClients

ASKED = frozenset({3011})
"""Codes of closes by which a server asks its client to reconnect elsewhere."""
CONNECTS_PER_SECOND = 50.0
CALM_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of the run; times in seconds since 1970."""

    name: str
    begin: float
    end: float


@dataclass(frozen=True, slots=True)
class Figures:
    """What clients saw in a phase. Times in seconds; `asked` are moves, `lost` other ends of connections.

    `p50` and `p99` are those of live deliveries, from the publisher's clock to the subscriber's; `gap` is p99 of the
    times without subscription; `lasted` is from the first to the last move.
    """

    phase: Phase
    asked: int
    peak: float
    lasted: float
    lost: int
    gap: float
    deliveries: int
    p50: float
    p99: float
    unrecovered: int


def quantile(values: Sequence[float], part: float) -> float:
    """Return the value that this part of them does not exceed; 0 without any."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else 0.0


@dataclass
class Load:
    """The groups of clients, their publisher, and the phases that were over until now."""

    groups: tuple[StockClients, ...]
    publisher: Publisher
    phases: list[Phase] = field(default_factory=list)

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Call what happens in the body a phase."""
        begin = time.time()
        print(f"{time.strftime('%H:%M:%S')} {name}", flush=True)
        yield
        self.phases.append(Phase(name, begin, time.time()))

    async def calm(self, *, within: float = 120) -> None:
        """Wait until all clients are connected and subscribed, and a moment more."""
        for group in self.groups:
            await all_connected(group, within=within)
            await all_subscribed(group, within=within)
        await asyncio.sleep(CALM_SECONDS)

    def balance(self) -> Balance:
        """Compare what was published in each channel with what each of its subscribers got."""
        published = defaultdict(list)
        for publication in self.publisher.published:
            published[publication.channel].append(publication)
        uncertain = [sequence for sequence, _ in self.publisher.failed]
        accounts: list[Account] = []
        for number, group in enumerate(self.groups):
            by_client = delivered(group.record, group.options.count, f"{number}:client")
            for client, (name, got) in enumerate(by_client.items()):
                (channel,) = group.options.channels_of(client)
                accounts += balance(published[channel.name], {name: got}, uncertain).accounts
        return Balance(tuple(accounts))

    async def settled(self, *, within: float = 30) -> Balance:
        """Stop to publish, and wait until everything that was confirmed has arrived, or the time is over."""
        await self.publisher.stop()
        with contextlib.suppress(DeadlineMissedError):  # the balance says what is missing
            await eventually(self._missing, lambda lost: lost == 0, what="everything arrives", within=within, every=1)
        return self.balance()

    async def _missing(self) -> int:
        return self.balance().lost

    def untold(self, found: Balance) -> list[Account]:
        """Return the accounts of subscribers that miss something and were not told so."""
        told = {
            f"{number}:client {event.client}"
            for number, group in enumerate(self.groups)
            for event in group.record.recoveries()
            if not event.recovered
        }
        return [account for account in found.accounts if account.lost and account.subscriber not in told]

    def figures(self) -> list[Figures]:
        """Return the figures of each phase."""
        merged = [_Timeline.of(group) for group in self.groups]
        return [_figures(phase, merged) for phase in self.phases]

    def describe(self) -> str:
        """Return the figures as a table in Markdown."""
        heads = ["phase", "s", "moves", "peak/s", "first to last, s", "other ends", "gap p99, ms", "live deliveries",
                 "p50, ms", "p99, ms", "recovered: false"]  # fmt: skip
        rows = [
            [
                found.phase.name,
                f"{found.phase.end - found.phase.begin:.0f}",
                f"{found.asked}",
                f"{found.peak:.0f}",
                f"{found.lasted:.1f}",
                f"{found.lost}",
                f"{1000 * found.gap:.0f}",
                f"{found.deliveries}",
                f"{1000 * found.p50:.1f}",
                f"{1000 * found.p99:.1f}",
                f"{found.unrecovered}",
            ]
            for found in self.figures()
        ]
        return "\n".join(f"| {' | '.join(row)} |" for row in [heads, ["---"] * len(heads), *rows])


@dataclass(frozen=True, slots=True)
class _Timeline:
    """Events of a group with their times: moves, other lost connections, (end, gap), (at, latency), unrecovered."""

    asked: list[float]
    lost: list[float]
    gaps: list[tuple[float, float]]
    live: list[tuple[float, float]]
    unrecovered: list[float]

    @classmethod
    def of(cls, group: StockClients) -> _Timeline:
        """Read a record. A delivery is live when its publication is younger than the client's subscription."""
        found = cls([], [], [], [], [])
        away: dict[int, float] = {}
        since: dict[int, float] = {}
        for event in group.record.events:
            match event:
                case Connecting() if event.client in since and event.code != 0:
                    (found.asked if event.code in ASKED else found.lost).append(event.at)
                    away.setdefault(event.client, event.at)
                case Subscribed():
                    if event.client in away:
                        found.gaps.append((event.at, event.at - away.pop(event.client)))
                    if event.was_recovering and not event.recovered:
                        found.unrecovered.append(event.at)
                    since[event.client] = event.at
                case Publication() if event.client not in away:
                    sent = number_at(event.data, "at")
                    if sent > since[event.client]:
                        found.live.append((event.at, event.at - sent))
                case _:
                    pass
        return found


def _figures(phase: Phase, timelines: Sequence[_Timeline]) -> Figures:
    def within(at: float) -> bool:
        return phase.begin <= at < phase.end

    asked = [at for one in timelines for at in one.asked if within(at)]
    live = [latency for one in timelines for at, latency in one.live if within(at)]
    return Figures(
        phase=phase,
        asked=len(asked),
        peak=largest_rate(asked),
        lasted=max(asked) - min(asked) if asked else 0.0,
        lost=sum(within(at) for one in timelines for at in one.lost),
        gap=quantile([gap for one in timelines for at, gap in one.gaps if within(at)], 0.99),
        deliveries=len(live),
        p50=quantile(live, 0.5),
        p99=quantile(live, 0.99),
        unrecovered=sum(within(at) for one in timelines for at in one.unrecovered),
    )


@contextlib.asynccontextmanager
async def load(
    cluster: RunningCluster, *, javascript: int, python: int, channels: int, per_second: float
) -> AsyncIterator[Load]:
    """Connect clients, each with one of the channels, and publish to all channels in turn while the body runs."""
    names = [f"chat:{number}" for number in range(channels)]
    groups: list[StockClients] = []
    async with contextlib.AsyncExitStack() as stack:
        for kind, count in ((JavaScriptClients, javascript), (PythonClients, python)):
            options = ClientOptions(
                endpoints=[await cluster.url()],
                count=count,
                channels=[Channel(name, recoverable=True) for name in names],
                tokens=[await cluster.token(f"user-{number}") for number in range(count)],
                connects_per_second=CONNECTS_PER_SECOND,
                spread=True,
            )
            groups.append(await stack.enter_async_context(kind(options)))
        for group in groups:
            await all_subscribed(group, within=120)
        api = await stack.enter_async_context(await cluster.api())
        yield Load(tuple(groups), await stack.enter_async_context(publishing(api, *names, per_second=per_second)))
