"""The load: raw WebSocket clients that do as little as possible, so that the server is what is measured.

Frames are not parsed: what arrives is searched for what marks a publication or a reply.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

CHANNEL = "open:bench"
SUBSCRIBED = b'"subscribe":'
PUBLICATION = b'"pub":'
CONNECTING = 64
"""Connections that are being opened at the same time."""
END_SECONDS = 30.0


class LoadError(Exception):
    """The server did not do what the scenario needs; nothing was measured."""


class Client(asyncio.Protocol):
    """One connection. `on_publications` is called with the number of publications that have arrived."""

    __slots__ = ("_commands", "_on_publications", "_open", "_tail", "_transport", "ready")

    def __init__(self, token: str, *, subscribe: bool, on_publications: Callable[[int], None]) -> None:
        commands: list[object] = [{"id": 1, "connect": {"token": token}}]
        if subscribe:
            commands.append({"id": 2, "subscribe": {"channel": CHANNEL}})
        self._commands = masked("\n".join(json.dumps(command) for command in commands).encode())
        self._on_publications = on_publications
        self._open = False
        self._tail = b""
        self._transport: asyncio.Transport | None = None
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the WebSocket."""
        self._transport = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET /connection/websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Count, or go on with the handshake."""
        if self.ready.done():
            # A mark may be cut in two; what is kept of it is too short to be counted twice.
            count = (self._tail + data).count(PUBLICATION)
            self._tail = data[1 - len(PUBLICATION) :]
            if count:
                self._on_publications(count)
            return
        self._tail += data
        if not self._open and b"\r\n\r\n" in self._tail:
            if not self._tail.startswith(b"HTTP/1.1 101 "):
                self.ready.set_exception(LoadError(self._tail[:200].decode(errors="replace")))
                return
            self._open = True
            self.send(self._commands)
        elif SUBSCRIBED in self._tail or (b'"connect"' in self._tail and SUBSCRIBED[:-1] not in self._commands):
            self._tail = b""
            self.ready.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody ends a connection during a measurement."""
        if not self.ready.done():
            self.ready.set_exception(LoadError(f"the server closed the connection: {exc}"))

    def send(self, frame: bytes) -> None:
        """Send a frame."""
        assert self._transport is not None
        self._transport.write(frame)

    def abort(self) -> None:
        """End it at once."""
        if self._transport is not None:
            self._transport.abort()


def masked(payload: bytes) -> bytes:
    """A text frame of a client; its mask is all zeros, which is legal and costs nothing here."""
    length = len(payload)
    header = bytes((0x81, 0x80 | length)) if length < 126 else b"\x81\xfe" + length.to_bytes(2, "big")
    return header + b"\0\0\0\0" + payload


@dataclass(frozen=True, slots=True)
class Measured:
    """What one scenario did to one server in one round. Times in seconds."""

    count: int
    wall: float
    server_cpu: float
    load_cpu: float

    @property
    def per_cpu_second(self) -> float:
        """How much the server did in one second of its CPU time."""
        return self.count / self.server_cpu


class Meter:
    """Measures what happens between its start and `read`."""

    def __init__(self, server_cpu: Callable[[], float]) -> None:
        self._server_cpu = server_cpu
        self._start = (time.monotonic(), server_cpu(), time.process_time())

    def read(self, count: int) -> Measured:
        """The measurement, for `count` things done."""
        wall, server, load = self._start
        return Measured(count, time.monotonic() - wall, self._server_cpu() - server, time.process_time() - load)


async def connect(port: int, tokens: list[str], on_publications: Callable[[int], None]) -> list[Client]:
    """Open a subscribed connection for each token; raises LoadError when one is refused."""
    loop = asyncio.get_running_loop()
    slots = asyncio.Semaphore(CONNECTING)

    async def one(token: str) -> Client:
        async with slots, asyncio.timeout(END_SECONDS):
            _, client = await loop.create_connection(
                lambda: Client(token, subscribe=True, on_publications=on_publications), "127.0.0.1", port
            )
            await client.ready
            return client

    return list(await asyncio.gather(*(one(token) for token in tokens)))


class FanOut:
    """One publisher, many subscribers, so many publications on their way at the same time."""

    def __init__(self, subscribers: int, in_flight: int, data_bytes: int) -> None:
        self._subscribers = subscribers
        self._ahead = in_flight * subscribers
        command = {"id": 3, "publish": {"channel": CHANNEL, "data": "x" * (data_bytes - 2)}}
        self._frame = masked(json.dumps(command).encode())
        self._publisher: Client | None = None
        self._published = 0
        self._delivered = 0
        self._done = asyncio.Event()

    async def run(self, port: int, tokens: list[str], server_cpu: Callable[[], float], seconds: float) -> Measured:
        """Publish for some seconds; raises LoadError when not everything arrives."""
        clients = await connect(port, tokens[: self._subscribers], self._on_publications)
        _, publisher = await asyncio.get_running_loop().create_connection(
            lambda: Client(tokens[0], subscribe=False, on_publications=lambda _: None), "127.0.0.1", port
        )
        try:
            await publisher.ready
            meter = Meter(server_cpu)
            self._publisher = publisher
            self._publish()
            await asyncio.sleep(seconds)
            self._publisher = None
            await self._arrived()
            return meter.read(self._delivered)
        finally:
            for client in (*clients, publisher):
                client.abort()

    def _on_publications(self, count: int) -> None:
        self._delivered += count
        if self._publisher is not None:
            self._publish()
        elif self._delivered >= self._published * self._subscribers:
            self._done.set()

    def _publish(self) -> None:
        while self._publisher is not None and self._published * self._subscribers - self._delivered < self._ahead:
            self._published += 1
            self._publisher.send(self._frame)

    async def _arrived(self) -> None:
        wanted = self._published * self._subscribers
        try:
            async with asyncio.timeout(END_SECONDS):
                if self._delivered < wanted:
                    await self._done.wait()
        except TimeoutError:
            raise LoadError(f"{self._delivered} of {wanted} publications arrived") from None


async def storm(port: int, tokens: list[str], server_cpu: Callable[[], float]) -> Measured:
    """Everybody connects with a token and subscribes, as fast as they are let in."""
    meter = Meter(server_cpu)
    clients = await connect(port, tokens, lambda _: None)
    measured = meter.read(len(clients))
    for client in clients:
        client.abort()
    return measured
