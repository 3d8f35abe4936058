"""Server with a well-behaved connection that others must not affect, and its error counters."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.deadline import eventually
from tests.kit.raw_client import RawClient, raw_client
from tests.kit.redis_process import RedisProcess
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

TOKEN = connection_token(TOKEN_SECRET, "mallory")
CHANNEL = "chat:bystander"
COUNTERS = ("disconnects", "handshakes_rejected", "command_errors", "api_requests", "backplane_gaps", "worker_restarts")
PREFIX = "realtime_server_"
Counts = dict[tuple[str, ...], int]
LEFT: Counts = {("disconnects", "3000"): 1}
"""Counts of a client that leaves by itself."""
HANDSHAKE_SECONDS = 1.0
MEBIBYTE = 1 << 20


def error(code: int, message: str) -> JsonObject:
    """Return an error that is not temporary, as clients and API callers see it."""
    return {"code": code, "message": message}


class HastyServer(ServerProcess):
    """Server with the default limits and a short time limit for handshakes."""

    def __init__(self, name: str, redis: RedisProcess | None, **changes: JsonValue) -> None:
        super().__init__(name, redis, **changes)
        self._changes["listen"] = {
            "host": "127.0.0.1",
            "client_port": self.client_port,
            "api_port": self.api_port,
            "admin_port": self.admin_port,
            "handshake_seconds": HANDSHAKE_SECONDS,
        }


class Watch:
    """Server with a well-behaved connection that is subscribed all the time."""

    def __init__(self, server: ServerProcess, bystander: RawClient) -> None:
        self.server = server
        self.bystander = bystander
        self._numbers = itertools.count()
        self._published = 0

    async def unharmed(self) -> None:
        """Assert that the bystander receives a new publication next."""
        marker = f"marker {next(self._numbers)}"
        await self.publish(CHANNEL, marker)
        assert await self.bystander.publication() == marker

    async def publish(self, channel: str, data: JsonValue) -> None:
        """Publish by the API, which `counts` ignores."""
        async with self.server.api() as api:
            await api.publish(channel, data)
        self._published += 1

    @contextlib.asynccontextmanager
    async def counts(self, expected: Counts) -> AsyncIterator[None]:
        """Assert that the body changes exactly the expected counters and does not affect the bystander."""
        await self._alone()
        before = await self._counters()
        self._published = 0
        yield
        await self._alone()
        await self.unharmed()
        changes = Counter(await self._counters())
        changes.subtract(before)
        changes["api_requests", "publish", "200"] -= self._published
        assert {name: change for name, change in changes.items() if change} == expected

    async def gauge(self, name: str) -> float:
        """Return the sum of a gauge over all workers."""
        families = text_string_to_metric_families(await self.server.metrics())
        return sum(sample.value for family in families if family.name == PREFIX + name for sample in family.samples)

    async def _alone(self) -> None:
        """Wait until the bystander is the only connection, so that all others have been counted."""
        await eventually(
            lambda: self.gauge("connections"), lambda now: now == 1, what="one connection", within=5, every=0.01
        )

    async def _counters(self) -> dict[tuple[str, ...], int]:
        found = {}
        for family in text_string_to_metric_families(await self.server.metrics()):
            name = family.name.removeprefix(PREFIX)
            for sample in family.samples if name in COUNTERS else ():
                if sample.name.endswith("_total"):
                    labels = [value for label, value in sample.labels.items() if label != "worker"]
                    found[name, *labels] = int(sample.value)
        return found


@contextlib.asynccontextmanager
async def watched(process: ServerProcess) -> AsyncIterator[Watch]:
    """Run the server with a bystander."""
    async with process as server, raw_client(server.url) as bystander:
        await bystander.connect(connection_token(TOKEN_SECRET, "bystander"))
        await bystander.subscribe(CHANNEL)
        yield Watch(server, bystander)


def resident(server: ServerProcess) -> int:
    """Return the memory of the server's processes in bytes."""
    assert server.process is not None
    found, waiting = 0, [server.process.pid]
    while waiting:
        folder = Path("/proc") / str(waiting.pop())
        status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        found += int(status["VmRSS"].split()[0]) * 1024
        for task in (folder / "task").iterdir():
            waiting += map(int, (task / "children").read_text().split())
    return found
