"""Cost and savings of compression: fan-out to subscribers that take it and to others, memory of idle connections.

    python -m bench.compression

The server has the first core and is started anew for each measurement; the subscribers, in this process, have the last.
Prints a table. The documents are JSON of random numbers and words.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import cast

from tests.kit.raw_client import TEXT, UPGRADE, frame, request
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

from bench.machine import anonymous_bytes, busy, family, on_server_core, prepare
from realtime_operator.api.base import JsonObject, JsonValue

CHANNEL = "open:compression"
SIZES = (1024, 4096, 16_384)
PUBLICATIONS = 100
SHORTEST = 200
"""Minimum payload of a publication's frame in bytes; shorter frames are not counted."""
OPENED_AT_ONCE = 50
IDLE = 2000
SECONDS = 60
SETTLE_SECONDS = 2.0
OFFER = {**UPGRADE, "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}


@dataclass(frozen=True, slots=True)
class Delivered:
    """Result of a fan-out; `cpu` is the server's CPU time in seconds."""

    count: int
    payload: int
    cpu: float


class Arrivals:
    """Counter of deliveries to all subscribers; `all_there` is set when the expected number is reached."""

    def __init__(self) -> None:
        self.count = 0
        self.payload = 0
        self.awaited = 0
        self.all_there = asyncio.Event()

    def add(self, payload: int) -> None:
        """Count a publication for one subscriber."""
        self.payload = payload
        self.count += 1
        if self.count == self.awaited:
            self.all_there.set()

    async def wait_for(self, more: int) -> None:
        """Wait for `more` further deliveries."""
        self.awaited = self.count + more
        self.all_there.clear()


class Subscriber(asyncio.Protocol):
    """A subscriber that parses only frames after its handshake. `ready` is done when it is subscribed."""

    def __init__(self, arrivals: Arrivals, token: str) -> None:
        self._arrivals = arrivals
        self._token = token
        self._buffer = b""
        self._frames = 0
        self._open = False
        self._transport: asyncio.Transport | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the handshake, with compression offered."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(request(headers=OFFER))

    def data_received(self, data: bytes) -> None:
        """Parse the answer to the handshake, then frames."""
        self._buffer += data
        if not self._open:
            head, found, rest = self._buffer.partition(b"\r\n\r\n")
            if not found:
                return
            assert b" 101 " in head, head
            self._open, self._buffer = True, rest
            for number, command in enumerate(
                ({"connect": {"token": self._token}}, {"subscribe": {"channel": CHANNEL}})
            ):
                assert self._transport is not None
                self._transport.write(frame(TEXT, json.dumps({"id": number + 1, **command}).encode()))
        payloads, self._buffer = walk(self._buffer)
        for payload in payloads:
            self._frames += 1
            if self._frames == 2:
                self.ready.set_result(None)
            elif payload >= SHORTEST and self._frames > 2:
                self._arrivals.add(payload)

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()


def walk(data: bytes) -> tuple[list[int], bytes]:
    """Return the payload lengths of the server's complete frames, and the remaining bytes."""
    payloads, at = [], 0
    while len(data) - at >= 2:
        length, start = data[at + 1], at + 2
        if length >= 126:
            size = 2 if length == 126 else 8
            length, start = int.from_bytes(data[start : start + size], "big"), start + size
        if start + length > len(data):
            break
        payloads.append(length)
        at = start + length
    return payloads, data[at:]


def document(size: int) -> JsonValue:
    """Return about `size` bytes of JSON: prices and words."""
    chance = random.Random(size)
    found: list[JsonValue] = []
    while len(json.dumps(found)) < size - 60:
        words = " ".join(
            chance.choice(["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dog"]) for _ in range(6)
        )
        found.append({"id": chance.getrandbits(48), "price": round(chance.uniform(1, 60_000), 2), "text": words})
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the CPU time of the processes so far, in seconds."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


@asynccontextmanager
async def serving(*, compressed: bool) -> AsyncIterator[ServerProcess]:
    """Run a server on its core."""
    limits: JsonObject = {"connections": 100_000, "outbox_bytes": 64 * 1024 * 1024}
    with on_server_core():
        server = ServerProcess("compression", None, limits=limits, compression={"enabled": compressed})
        await server.__aenter__()
    try:
        yield server
    finally:
        await server.__aexit__()


@asynccontextmanager
async def subscribed(server: ServerProcess, count: int, arrivals: Arrivals) -> AsyncIterator[None]:
    """Connect `count` subscribers."""
    token = connection_token(TOKEN_SECRET, "subscriber")
    subscribers: list[Subscriber] = []
    try:
        for _ in range(0, count, OPENED_AT_ONCE):
            fresh = [Subscriber(arrivals, token) for _ in range(OPENED_AT_ONCE)]
            async with asyncio.timeout(SECONDS):
                for one in fresh:
                    await _connect(one, server)
                await asyncio.gather(*(one.ready for one in fresh))
            subscribers += fresh
        yield
    finally:
        for one in subscribers:
            one.close()


async def _connect(subscriber: Subscriber, server: ServerProcess) -> None:
    await asyncio.get_running_loop().create_connection(lambda: subscriber, "127.0.0.1", server.client_port)


def pids_of(server: ServerProcess) -> tuple[int, ...]:
    """Return the ids of the server's processes."""
    assert server.process is not None
    return family(server.process.pid)


async def fan_out(size: int, subscribers: int, *, compressed: bool) -> Delivered:
    """Publish one at a time to the subscribers; return the cost."""
    arrivals, data = Arrivals(), document(size)
    async with (
        serving(compressed=compressed) as server,
        subscribed(server, subscribers, arrivals),
        server.api() as api,
        asyncio.timeout(SECONDS),
    ):
        pids = pids_of(server)
        before = 0.0
        for number in range(PUBLICATIONS + 10):
            if number == 10:
                before, arrivals.count = cpu_seconds(pids), 0
            await arrivals.wait_for(subscribers)
            await api.publish(CHANNEL, data)
            await arrivals.all_there.wait()
        return Delivered(arrivals.count, arrivals.payload, cpu_seconds(pids) - before)


async def memory(connections: int, *, compressed: bool) -> float:
    """Return the server's bytes for each idle connection with a subscription."""
    arrivals = Arrivals()
    async with serving(compressed=compressed) as server, subscribed(server, 500, arrivals):
        pids = pids_of(server)
        await asyncio.sleep(SETTLE_SECONDS)
        before = anonymous_bytes(pids)
        async with subscribed(server, connections, arrivals):
            await asyncio.sleep(SETTLE_SECONDS)
            return (anonymous_bytes(pids) - before) / connections


async def measure(subscribers: int, rounds: int) -> list[str]:
    """Return the lines of a table; off and on alternate, so that both meet the same state of the machine."""
    lines = [
        "| document | sent, off | on | deliveries per CPU-second, off | on | ratio |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for size in SIZES:
        found: dict[bool, list[Delivered]] = {False: [], True: []}
        for _ in range(rounds):
            for compressed, results in found.items():
                results.append(await fan_out(size, subscribers, compressed=compressed))
        off, on = (median(one.count / one.cpu for one in results) for results in found.values())
        sent = f"{found[False][0].payload:,} | {found[True][0].payload:,}"
        lines.append(f"| {size:,} | {sent} | {off:,.0f} | {on:,.0f} | {on / off:.2f} |")
    for compressed in (False, True):
        grown = [await memory(IDLE, compressed=compressed) for _ in range(rounds)]
        lines.append(f"bytes per idle connection, {'on' if compressed else 'off'}: {median(grown):,.0f}")
    return lines


def main() -> None:
    """Run all measurements."""
    parser = argparse.ArgumentParser(prog="python -m bench.compression", description=__doc__)
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    prepare()
    if (notice := busy()) is not None:
        print(notice)
    print("\n".join(asyncio.run(measure(options.subscribers, options.rounds))))


if __name__ == "__main__":
    main()
