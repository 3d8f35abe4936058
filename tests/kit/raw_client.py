"""Clients that may do everything wrong: one with whole WebSocket messages, one that makes its own bytes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Protocol, Self, cast

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.document import dig, object_at, parse, whole_at

ANSWER_SECONDS = 5
PATH = "/connection/websocket"
UPGRADE = {
    "Host": "127.0.0.1",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
"""The headers of a handshake that is as it must be."""
READ_BYTES = 1 << 16
CLOSE = 0x88
TEXT = 0x81


class ClosedByServerError(AssertionError):
    """The server closed the connection while something else was expected."""


class RawClient:
    """Whole messages of any content, sent by the `websockets` library."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._arrived: list[JsonObject] = []

    async def say(self, message: str | bytes) -> None:
        """Send one text message as it is, also if it is not UTF-8; one that is closed already says so when read."""
        with contextlib.suppress(ConnectionClosed):
            await self._connection.send(message, text=True)

    async def say_binary(self, message: bytes) -> None:
        """Send one binary message."""
        await self._connection.send(message, text=False)

    async def command(self, **command: JsonValue) -> JsonObject:
        """Send one command, which must have an id, and return its reply."""
        await self.say(json.dumps(command))
        return await self.reply(whole_at(command, "id"))

    async def connect(self, token: str) -> Self:
        """Open the session with command 1; fails unless the server lets it in."""
        reply = await self.command(id=1, connect={"token": token})
        assert "connect" in reply, reply
        return self

    async def subscribe(self, channel: str) -> Self:
        """Subscribe with command 2; fails unless the server accepts it."""
        reply = await self.command(id=2, subscribe={"channel": channel})
        assert "subscribe" in reply, reply
        return self

    async def reply(self, command: int) -> JsonObject:
        """The reply to a command; what comes before it and is no ping is dropped."""
        while True:
            document = await self.document()
            if document.get("id") == command:
                return document

    async def publication(self) -> JsonValue:
        """The data of the next publication."""
        while True:
            push = object_at(await self.document(), "push")
            if "pub" in push:
                return dig(push, "pub", "data")

    async def document(self) -> JsonObject:
        """The next reply or push; pings are answered. Raises ClosedByServerError, or TimeoutError."""
        while True:
            while not self._arrived:
                await self._receive()
            document = self._arrived.pop(0)
            if document:
                return document
            await self.say("{}")

    async def _receive(self) -> None:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                message = await self._connection.recv(decode=True)
        except ConnectionClosed as error:
            raise ClosedByServerError(f"closed by the server: {error}") from error
        self._arrived += [parse(line) for line in message.split("\n")]

    async def closed(self, within: float = ANSWER_SECONDS) -> tuple[int, str]:
        """Code and reason of the server's close frame; what comes before it is dropped."""
        try:
            async with asyncio.timeout(within):
                while True:
                    await self._connection.recv()
        except ConnectionClosed as error:
            if error.rcvd is None:
                raise ClosedByServerError(f"closed without a close frame: {error!r}") from error
            return error.rcvd.code, error.rcvd.reason


@contextlib.asynccontextmanager
async def raw_client(url: str) -> AsyncIterator[RawClient]:
    """A connection after its handshake and before its connect command, closed at the end."""
    async with connect(
        url,
        compression=None,
        ping_interval=None,
        max_size=None,
        max_queue=None,
        open_timeout=ANSWER_SECONDS,
        proxy=None,
    ) as connection:
        try:
            yield RawClient(connection)
        except ConnectionClosedError as error:
            raise ClosedByServerError(f"closed by the server: {error}") from error


def frame(first: int, payload: bytes, *, masked: bool = True) -> bytes:
    """A frame whose first byte (FIN, reserved bits, opcode) may be anything."""
    length = len(payload)
    flag = 0x80 if masked else 0
    if length < 126:
        head = bytes((first, flag | length))
    elif length < 65536:
        head = bytes((first, flag | 126)) + length.to_bytes(2, "big")
    else:
        head = bytes((first, flag | 127)) + length.to_bytes(8, "big")
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[place % 4] for place, byte in enumerate(payload))


def request(path: str = PATH, method: str = "GET", headers: Mapping[str, str] | None = None) -> bytes:
    """An HTTP request; without `headers`, those of a handshake."""
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in (UPGRADE if headers is None else headers).items()]
    return "\r\n".join([*lines, "", ""]).encode()


class RawStream:
    """A TCP connection to the port of clients; every byte is the test's."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes; if the server has gone, what it said is still there to be read."""
        self._writer.write(data)
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._writer.drain()

    async def response(self) -> tuple[int, dict[str, str]]:
        """Status and headers (names in lower case) of the answer; its body, if any, is read too."""
        async with asyncio.timeout(ANSWER_SECONDS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.strip().split("\r\n")
            pairs = [line.partition(":") for line in lines]
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            await self._reader.readexactly(int(headers.get("content-length", "0")))
        return int(status.split(" ")[1]), headers

    async def handshake(self) -> None:
        """Become a WebSocket."""
        await self.send(request())
        status, _ = await self.response()
        assert status == 101

    async def connect(self, token: str) -> None:
        """Open the session with command 1; fails unless the server lets it in."""
        await self.handshake()
        await self.send(frame(TEXT, json.dumps({"id": 1, "connect": {"token": token}}).encode()))
        _, payload = await self.frame()
        assert "connect" in parse(payload), payload

    async def subscribe(self, channel: str) -> None:
        """Subscribe with command 2; fails unless the server accepts it."""
        await self.send(frame(TEXT, json.dumps({"id": 2, "subscribe": {"channel": channel}}).encode()))
        _, payload = await self.frame()
        assert "subscribe" in parse(payload), payload

    async def frame(self) -> tuple[int, bytes]:
        """First byte and payload of the server's next frame."""
        async with asyncio.timeout(ANSWER_SECONDS):
            first, length = await self._reader.readexactly(2)
            if length >= 126:
                length = int.from_bytes(await self._reader.readexactly(2 if length == 126 else 8), "big")
            return first, await self._reader.readexactly(length)

    async def closed(self) -> tuple[int, str]:
        """Code and reason of the server's close frame; it is answered, and the server must then end the connection."""
        while True:
            first, payload = await self.frame()
            if first == CLOSE:
                break
        await self.send(frame(CLOSE, payload[:2]))
        await self.ended()
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    async def ended(self) -> None:
        """Wait until the server ends the connection; raises TimeoutError when it does not."""
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(ANSWER_SECONDS):
                while await self._reader.read(READ_BYTES):
                    pass

    async def dribble(self, data: Callable[[], bytes], every: float) -> None:
        """Send a little again and again until the server ends the connection; raises TimeoutError when it does not."""
        ended = asyncio.create_task(self.ended(), name="ended")
        try:
            while not ended.done():
                await self.send(data())
                await asyncio.wait({ended}, timeout=every)
            ended.result()
        finally:
            ended.cancel()


class _ReadBuffer(Protocol):
    """What a transport of TLS has besides others."""

    def set_read_buffer_limits(self, high: int) -> None:
        """Read no more from the socket while so much was not taken."""


@contextlib.asynccontextmanager
async def raw_stream(
    port: int, *, receive_buffer: int | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawStream]:
    """A TCP connection on loopback, with a small buffer for what arrives if wanted; closed at the end."""
    sock = socket.socket()
    if receive_buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.setblocking(False)
    try:
        await asyncio.wait_for(asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port)), ANSWER_SECONDS)
        reader, writer = await asyncio.open_connection(
            sock=sock, limit=receive_buffer or READ_BYTES, ssl=tls, server_hostname=None if tls is None else "127.0.0.1"
        )
    except BaseException:
        sock.close()
        raise
    if tls is not None and receive_buffer is not None:
        # by itself it reads half a megabyte ahead
        cast("_ReadBuffer", writer.transport).set_read_buffer_limits(receive_buffer)
    try:
        yield RawStream(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()
