"""Hundreds of clients that never read, and a publisher that floods them: the memory of the server stays bounded.

The bound is that of docs/reference/limits.md. What the kernel holds for a socket is no memory of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator

from realtime_operator.api.base import JsonObject
from tests.component.server.watch import MEBIBYTE, resident
from tests.kit.deadline import eventually
from tests.kit.raw_client import TEXT, frame, raw_client, request
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

SLOW = 200
HEALTHY = 3
CHANNEL = "open:flood"
OUTBOX_BYTES = 256 * 1024
DATA = "a" * 10_000
TOGETHER = 5
"""Publications per loop iteration, which are joined for each connection, so that no bytes are shared."""
BOUND = SLOW * 2 * OUTBOX_BYTES
"""Maximum bytes for clients: 100 MiB."""
MARGIN = 24 * MEBIBYTE
"""Allowance for everything else: publications, API calls, and the allocator."""
PUBLICATIONS = 800
"""Number of publications: 8 MB per client, 1.6 GB for all, fifteen times the bound."""
CLOSED_AS_SLOW = b"\x88\x06" + (3008).to_bytes(2, "big") + b"slow"


async def silent_subscriber(port: int) -> socket.socket:
    """Open a client that reads nothing after the handshake."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.setblocking(False)
    connect = {"id": 1, "connect": {"token": connection_token(TOKEN_SECRET, "silent")}}
    subscribe = {"id": 2, "subscribe": {"channel": CHANNEL}}
    loop = asyncio.get_running_loop()
    await loop.sock_connect(sock, ("127.0.0.1", port))
    await loop.sock_sendall(sock, request())
    assert (await loop.sock_recv(sock, 4096)).endswith(b"\r\n\r\n")
    await loop.sock_sendall(sock, frame(TEXT, f"{json.dumps(connect)}\n{json.dumps(subscribe)}".encode()))
    return sock


async def last_bytes(sock: socket.socket) -> bytes:
    """Return the last bytes that the server has sent, once the client reads."""
    loop, end = asyncio.get_running_loop(), b""
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(10):
            while data := await loop.sock_recv(sock, MEBIBYTE):
                end = (end + data)[-len(CLOSED_AS_SLOW) :]
    return end


@contextlib.asynccontextmanager
async def peak_memory(server: ServerProcess) -> AsyncIterator[list[int]]:
    """Measure repeatedly; the list has the largest number of bytes so far."""
    peak = [resident(server)]

    async def measure() -> None:
        while True:
            peak[0] = max(peak[0], resident(server))
            await asyncio.sleep(0.02)

    task = asyncio.create_task(measure(), name="peak-memory")
    try:
        yield peak
    finally:
        task.cancel()


def publish(number: int) -> JsonObject:
    """Return a publish command of a batch."""
    return {"publish": {"channel": CHANNEL, "data": [number, DATA]}}


async def value(server: ServerProcess, metric: str) -> float:
    """Return a metric of the only worker, 0 if it is absent."""
    lines = (line.rpartition(" ") for line in (await server.metrics()).splitlines())
    return next((float(number) for name, _, number in lines if name == f"realtime_server_{metric}"), 0.0)


async def test_memory_is_bounded_under_a_flood_of_slow_readers() -> None:
    """Slow clients are closed with 3008; a reading client gets every publication in order throughout."""
    limits: JsonObject = {"outbox_bytes": OUTBOX_BYTES}
    async with contextlib.AsyncExitStack() as stack:
        server = await stack.enter_async_context(ServerProcess("flood", None, limits=limits))
        api = await stack.enter_async_context(server.api())
        readers = [await stack.enter_async_context(raw_client(server.url)) for _ in range(HEALTHY)]
        for reader in readers:
            await (await reader.connect(connection_token(TOKEN_SECRET, "reader"))).subscribe(CHANNEL)
        slow = [await silent_subscriber(server.client_port) for _ in range(SLOW)]
        for sock in slow:
            stack.callback(sock.close)
        await eventually(
            lambda: value(server, 'subscriptions{worker="0"}'),
            lambda now: now == SLOW + HEALTHY,
            what="all subscribed",
            within=10,
        )

        async def read_all() -> None:
            for number in range(PUBLICATIONS):
                for reader in readers:
                    assert await reader.publication() == [number, DATA]

        before = resident(server)
        async with peak_memory(server) as peak, asyncio.TaskGroup() as group:
            group.create_task(read_all(), name="read-all")
            ended: list[asyncio.Task[bytes]] = []
            for first in range(0, PUBLICATIONS, TOGETHER):
                await api.call("batch", commands=[publish(number) for number in range(first, first + TOGETHER)])
                if not ended and await value(server, 'disconnects_total{code="3008",worker="0"}') == SLOW:
                    ended = [group.create_task(last_bytes(sock)) for sock in slow[:5]]
        assert [task.result() for task in ended] == [CLOSED_AS_SLOW] * 5
        assert await value(server, 'limit_exceeded_total{limit="outbox_bytes",worker="0"}') == SLOW
        assert await value(server, 'connections{worker="0"}') == HEALTHY
        assert peak[0] - before < BOUND + MARGIN
        print(f"{(peak[0] - before) / MEBIBYTE:.0f} MiB of {BOUND / MEBIBYTE:.0f} + {MARGIN / MEBIBYTE:.0f}")
