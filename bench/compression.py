"""What compression costs and saves: fan-out to subscribers that take it and to others, memory of idle connections.

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
"""A frame with a shorter payload is no publication."""
OPENED_AT_ONCE = 50
IDLE = 2000
SECONDS = 60
SETTLE_SECONDS = 2.0
OFFER = {**UPGRADE, "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}


@dataclass(frozen=True, slots=True)
class Delivered:
    """`cpu` is the server's, in seconds."""

    count: int
    payload: int
    cpu: float


class Arrivals:
    """Counts what all subscribers have got; `all_there` is set when it is as much as is waited for."""

    def __init__(self) -> None:
        self.count = 0
        self.payload = 0
        self.awaited = 0
        self.all_there = asyncio.Event()

    def add(self, payload: int) -> None:
        """One publication for one of them."""
        self.payload = payload
        self.count += 1
        if self.count == self.awaited:
            self.all_there.set()

    async def wait_for(self, more: int) -> None:
        """Until so many more are there."""
        self.awaited = self.count + more
        self.all_there.clear()


class Subscriber(asyncio.Protocol):
    """Shakes hands, connects and subscribes, and then walks over frames. `ready` is done when it is subscribed."""

    def __init__(self, arrivals: Arrivals, token: str) -> None:
        self._arrivals = arrivals
        self._token = token
        self._buffer = b""
        self._frames = 0
        self._open = False
        self._transport: asyncio.Transport | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Offer compression; the server decides."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(request(headers=OFFER))

    def data_received(self, data: bytes) -> None:
        """Frames, after the answer to the handshake."""
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
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()


def walk(data: bytes) -> tuple[list[int], bytes]:
    """The lengths of the payloads of a server's frames, and what is left of one that is not whole."""
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
    """About so many bytes of JSON: prices and words."""
    chance = random.Random(size)
    found: list[JsonValue] = []
    while len(json.dumps(found)) < size - 60:
        words = " ".join(
            chance.choice(["the", "quick", "brown", "fox", "jumps", "over", "lazy", "dog"]) for _ in range(6)
        )
        found.append({"id": chance.getrandbits(48), "price": round(chance.uniform(1, 60_000), 2), "text": words})
    return found


def cpu_seconds(pids: Sequence[int]) -> float:
    """What the processes have used so far."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


@asynccontextmanager
async def serving(*, compressed: bool) -> AsyncIterator[ServerProcess]:
    """A server on its core."""
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
    """So many subscribers."""
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
    """The server's processes."""
    assert server.process is not None
    return family(server.process.pid)


async def fan_out(size: int, subscribers: int, *, compressed: bool) -> Delivered:
    """Publications, one at a time, to so many subscribers."""
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
    """Bytes of the server for each idle connection with a subscription."""
    arrivals = Arrivals()
    async with serving(compressed=compressed) as server, subscribed(server, 500, arrivals):
        pids = pids_of(server)
        await asyncio.sleep(SETTLE_SECONDS)
        before = anonymous_bytes(pids)
        async with subscribed(server, connections, arrivals):
            await asyncio.sleep(SETTLE_SECONDS)
            return (anonymous_bytes(pids) - before) / connections


async def measure(subscribers: int, rounds: int) -> list[str]:
    """The lines of a table; off and on by turns, so that both see the same machine."""
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
    """Measure."""
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
