"""Many clients that connect again whenever they are disconnected, each a few bytes of memory."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from tests.kit.deadline import eventually
from tests.kit.raw_client import TEXT, RawStream, frame, raw_stream
from tests.kit.tokens import connection_token

AGAIN_SECONDS = 2.0
CONNECTING_AT_ONCE = 50
FAILURES = (OSError, TimeoutError, AssertionError, ValueError, asyncio.IncompleteReadError)
"""What a client meets that is refused or cut off; a ValueError is a close frame where JSON was expected."""
PONG = frame(TEXT, b"{}")


@dataclass
class Swarm:
    """Clients of one port; `connected` is how many are connected now. Without a secret they have no tokens."""

    port: int
    secret: str
    channel: str | None = None
    connected: int = 0
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CONNECTING_AT_ONCE))

    async def run(self, number: int) -> None:
        """Be one client for ever."""
        while True:
            with contextlib.suppress(*FAILURES):
                async with contextlib.AsyncExitStack() as stack:
                    async with self._slots:
                        stream = await stack.enter_async_context(raw_stream(self.port))
                        await stream.connect(self._token(number))
                        if self.channel is not None:
                            await stream.subscribe(self.channel)
                    self.connected += 1
                    try:
                        await _stay(stream)
                    finally:
                        self.connected -= 1
            await asyncio.sleep(AGAIN_SECONDS)

    def _token(self, number: int) -> str:
        return connection_token(self.secret, f"user-{number}") if self.secret else ""

    async def all_connected(self, count: int, within: float) -> None:
        """Wait until `count` clients are connected."""

        async def read() -> int:
            return self.connected

        await eventually(read, lambda found: found >= count, what=f"{count} clients", within=within)


async def _stay(stream: RawStream) -> None:
    """Answer pings until the connection ends."""
    while True:
        try:
            first, payload = await stream.frame()
        except TimeoutError:  # nothing was sent for some seconds
            continue
        if first == TEXT and payload == b"{}":
            await stream.send(PONG)
        elif first != TEXT:
            return


@contextlib.asynccontextmanager
async def swarm(port: int, secret: str, count: int, channel: str | None = None) -> AsyncIterator[Swarm]:
    """Keep clients connected while the body runs."""
    made = Swarm(port, secret, channel)
    tasks = [asyncio.create_task(made.run(number), name=f"client-{number}") for number in range(count)]
    try:
        yield made
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
