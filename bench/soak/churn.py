"""Clients that connect, subscribe, publish and leave repeatedly, each at its own random times."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

LIVES_SECONDS = (0.5, 20.0)
"""Shortest and longest lifetime of a connection, in seconds."""
PUBLISH_SECONDS = 1.0
"""Mean seconds between two commands of a client."""
TIMEOUT_SECONDS = 10.0
NAMESPACES = ("chat", "open", "feed")
"""Namespaces of tests.kit.server_process: history, recovery and presence; none of them; history and recovery."""
CHANNELS = 50
"""Channels per namespace: few enough to be shared, many enough to become empty at times."""
USERS = 1000
DATA = "x" * 100


@dataclass(slots=True)
class Counts:
    """Counts of all clients' actions and errors."""

    connects: int = 0
    connected: int = 0
    subscriptions: int = 0
    published: int = 0
    received: int = 0
    errors: int = 0


class Churn:
    """`clients` tasks, each with one connection after another, while the context is entered."""

    def __init__(self, url: str, clients: int, token: Callable[[str], str], seed: int) -> None:
        self._url = url
        self._clients = clients
        self._token = token
        self._seed = seed
        self._tasks: list[asyncio.Task[None]] = []
        self.counts = Counts()

    async def __aenter__(self) -> Self:
        """Start the clients."""
        self._tasks = [
            asyncio.create_task(self._client(number), name=f"soak-client-{number}") for number in range(self._clients)
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop the clients."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def check(self) -> None:
        """Raise the error that has ended a client."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def _client(self, number: int) -> None:
        chance = random.Random(f"{self._seed}-{number}")
        await asyncio.sleep(chance.uniform(0, 2))
        while True:
            try:
                await self._life(chance)
            except (OSError, TimeoutError, ConnectionClosed, InvalidHandshake):
                self.counts.errors += 1
                await asyncio.sleep(1.0)

    async def _life(self, chance: random.Random) -> None:
        """Run one connection; half of them end without a close frame, as on phones."""
        connection = await connect(
            self._url, compression=None, ping_interval=None, open_timeout=TIMEOUT_SECONDS, close_timeout=1.0
        )
        self.counts.connects += 1
        self.counts.connected += 1
        try:
            async with asyncio.TaskGroup() as group:
                reading = group.create_task(self._read(connection), name="soak-read")
                await self._talk(connection, chance)
                reading.cancel()
        except* (ConnectionClosed, TimeoutError):
            self.counts.errors += 1
        finally:
            self.counts.connected -= 1
            if chance.random() < 0.5:
                connection.transport.abort()
            with contextlib.suppress(OSError, TimeoutError, ConnectionClosed):
                await connection.close()

    async def _talk(self, connection: ClientConnection, chance: random.Random) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + chance.uniform(*LIVES_SECONDS)
        await self._command(connection, 1, "connect", {"token": self._token(f"user-{chance.randrange(USERS)}")})
        number, subscribed = 2, list[str]()
        while loop.time() < end:
            action = chance.random()
            if action < 0.3 or not subscribed:
                channel = f"{chance.choice(NAMESPACES)}:{chance.randrange(CHANNELS)}"
                if channel not in subscribed:
                    subscribed.append(channel)
                    self.counts.subscriptions += 1
                    await self._command(connection, number, "subscribe", {"channel": channel})
            elif action < 0.4:
                channel = subscribed.pop(chance.randrange(len(subscribed)))
                await self._command(connection, number, "unsubscribe", {"channel": channel})
            else:
                channel = chance.choice([name for name in subscribed if not name.startswith("feed")] or ["open:0"])
                self.counts.published += 1
                await self._command(connection, number, "publish", {"channel": channel, "data": {"text": DATA}})
            number += 1
            await asyncio.sleep(chance.expovariate(1 / PUBLISH_SECONDS))

    async def _command(self, connection: ClientConnection, number: int, method: str, body: dict[str, object]) -> None:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            await connection.send(json.dumps({"id": number, method: body}))

    async def _read(self, connection: ClientConnection) -> None:
        async for message in connection:
            text = str(message)
            self.counts.received += text.count('"pub":')
            self.counts.errors += text.count('"error":')
            if text == "{}":
                await connection.send("{}")
