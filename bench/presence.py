"""`python -m bench.presence`: the cost of presence by number of members, with a real Redis and in memory."""

from __future__ import annotations

import asyncio
import re
import secrets
import statistics
import time
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass

from tests.kit.redis_process import RedisProcess, running_redis

from realtime_server import settings
from realtime_server.backplane.memory import MemoryBroker
from realtime_server.backplane.memory_presence import MemoryPresence
from realtime_server.backplane.redis import RedisBroker, open_router
from realtime_server.backplane.redis_link import Timing
from realtime_server.backplane.redis_presence import RedisPresence
from realtime_server.core.model.values import ClientInfo, Publication
from realtime_server.core.ports.backplane import PresenceStore

MEMBERS = (10, 1_000, 100_000)
CALLS, LONG_CALLS = 2_000, 5
TOGETHER = 100
AT_ONCE = 500
PATIENT = Timing(call=60.0, probes_missed=60, canary_overdue=60.0)
"""Long timeouts, so that a busy machine causes no failures."""
TTL_SECONDS = 600.0
CHANNEL = "room"


class Deaf:
    """Implements BrokerEvents without effect: nothing is published."""

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        """Ignore a publication."""

    def on_control(self, message: bytes) -> None:
        """Ignore a control message."""

    def on_interrupted(self) -> None:
        """Ignore an interruption."""

    def on_gap(self) -> None:
        """Ignore a gap."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Cost of one call in microseconds: the caller's median, and Redis' own mean (0 without Redis)."""

    seen: float
    in_redis: float


def member(number: int) -> ClientInfo:
    """Return the info of a connection; every user has two."""
    return ClientInfo(f"user-{number // 2}", f"client-{number}", b'{"name":"somebody"}')


async def measure(store: PresenceStore, members: int, redis: RedisProcess | None) -> dict[str, Cost]:
    """Fill a channel, and time the server's operations on it."""
    for start in range(0, members, AT_ONCE):
        numbers = range(start, min(start + AT_ONCE, members))
        await asyncio.gather(*(add(store, number) for number in numbers))
    more = range(members, members + CALLS)
    return {
        "join": await timed(redis, (add(store, number) for number in more)),
        f"renew {TOGETHER} by one call": await timed(redis, renewals(store, members)),
        "renew": await timed(redis, (add(store, number % members) for number in more)),
        "count (`presence_stats`)": await timed(redis, (store.stats(CHANNEL) for _ in more)),
        "leave": await timed(redis, (store.remove(CHANNEL, f"client-{number}") for number in more)),
        "list (`presence`)": await timed(redis, (store.members(CHANNEL) for _ in range(LONG_CALLS))),
    }


def renewals(store: PresenceStore, members: int) -> Iterator[Awaitable[object]]:
    """Yield the calls that renew all members, LONG_CALLS at most."""
    for start in range(0, min(members, TOGETHER * LONG_CALLS), TOGETHER):
        yield store.renew(CHANNEL, [member(n) for n in range(start, min(start + TOGETHER, members))], TTL_SECONDS)


async def add(store: PresenceStore, number: int) -> None:
    """Add or renew one member."""
    await store.add(CHANNEL, f"client-{number}", member(number), TTL_SECONDS)


async def timed(redis: RedisProcess | None, calls: Iterator[Awaitable[object]]) -> Cost:
    """Time calls one after the other."""
    took = []
    if redis is not None:
        redis.ask("CONFIG", "RESETSTAT")
    for call in calls:
        began = time.perf_counter()
        await call
        took.append(time.perf_counter() - began)
    return Cost(statistics.median(took) * 1e6, 0.0 if redis is None else script_microseconds(redis))


def script_microseconds(redis: RedisProcess) -> float:
    """Return Redis' own mean time for a script, in microseconds."""
    answer = redis.ask("INFO", "commandstats")
    assert isinstance(answer, bytes)
    found = re.search(r"cmdstat_evalsha:.*?usec_per_call=([0-9.]+)", answer.decode())
    return float(found.group(1)) if found else 0.0


async def run() -> dict[str, dict[int, dict[str, Cost]]]:
    """Measure all drivers with all sizes."""
    found: dict[str, dict[int, dict[str, Cost]]] = {"Redis": {}, "memory": {}}
    with running_redis() as redis:
        for members in MEMBERS:
            router = open_router(settings.Redis(address=redis.address), secrets.token_hex(4), PATIENT)
            broker = RedisBroker(router)
            await broker.start(Deaf())
            found["Redis"][members] = await measure(RedisPresence(router), members, redis)
            await broker.stop()
    for members in MEMBERS:
        found["memory"][members] = await measure(MemoryPresence(MemoryBroker()), members, None)
    return found


def table(found: dict[str, dict[int, dict[str, Cost]]]) -> str:
    """Format the result as Markdown."""
    lines = [
        f"| one call, microseconds | {' | '.join(f'{members:,} members' for members in MEMBERS)} |",
        f"| --- |{' --- |' * len(MEMBERS)}",
    ]
    for driver, by_members in found.items():
        for what in by_members[MEMBERS[0]]:
            cells = []
            for members in MEMBERS:
                cost = by_members[members][what]
                cells.append(f"{cost.seen:,.0f}" + (f" ({cost.in_redis:,.0f})" if cost.in_redis else ""))
            lines.append(f"| {driver}: {what} | {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table(asyncio.run(run())))
