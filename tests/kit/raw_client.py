"""Clients that can violate the protocol: one sends whole WebSocket messages, one raw bytes."""

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

ANSWER_SECONDS = 15
PATH = "/connection/websocket"
UPGRADE = {
    "Host": "127.0.0.1",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Version": "13",
}
"""Headers of a valid handshake."""
READ_BYTES = 1 << 16
CLOSE = 0x88
TEXT = 0x81


class ClosedByServerError(AssertionError):
    """The server closed the connection while another message was expected."""


class RawClient:
    """Client of whole messages with any content, on the `websockets` library."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._arrived: list[JsonObject] = []

    async def say(self, message: str | bytes) -> None:
        """Send one text message, also invalid UTF-8; a closed connection is reported by the next read."""
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
        """Connect with command 1; fails unless the server accepts."""
        reply = await self.command(id=1, connect={"token": token})
        assert "connect" in reply, reply
        return self

    async def subscribe(self, channel: str) -> Self:
        """Subscribe with command 2; fails unless the server accepts."""
        reply = await self.command(id=2, subscribe={"channel": channel})
        assert "subscribe" in reply, reply
        return self

    async def reply(self, command: int) -> JsonObject:
        """Return the reply to a command; messages before it are dropped."""
        while True:
            document = await self.document()
            if document.get("id") == command:
                return document

    async def publication(self) -> JsonValue:
        """Return the data of the next publication."""
        while True:
            push = object_at(await self.document(), "push")
            if "pub" in push:
                return dig(push, "pub", "data")

    async def document(self) -> JsonObject:
        """Return the next reply or push; pings are answered. Raises ClosedByServerError, or TimeoutError."""
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
        """Return code and reason of the server's close frame; messages before it are dropped."""
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
    """Open a connection without a connect command; it is closed after the body."""
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
    """Encode a frame with any first byte (FIN, reserved bits, opcode)."""
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
    """Encode an HTTP request, by default with the headers of a handshake."""
    lines = [f"{method} {path} HTTP/1.1"]
    lines += [f"{name}: {value}" for name, value in (UPGRADE if headers is None else headers).items()]
    return "\r\n".join([*lines, "", ""]).encode()


class RawStream:
    """A TCP connection to the client port on which the test sends raw bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send bytes; errors are ignored, as answers sent before the server closed can still be read."""
        self._writer.write(data)
        with contextlib.suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._writer.drain()

    async def response(self) -> tuple[int, dict[str, str]]:
        """Return status and headers (names in lower case) of the answer; a body is read and dropped."""
        status, headers, _ = await self.answer()
        return status, headers

    async def answer(self) -> tuple[int, dict[str, str], bytes]:
        """Return status, headers (names in lower case) and body of the answer."""
        async with asyncio.timeout(ANSWER_SECONDS):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode()
            status, *lines = head.strip().split("\r\n")
            pairs = [line.partition(":") for line in lines]
            headers = {name.lower(): value.strip() for name, _, value in pairs}
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        return int(status.split(" ")[1]), headers, body

    async def handshake(self) -> None:
        """Perform the WebSocket handshake."""
        await self.send(request())
        status, _ = await self.response()
        assert status == 101

    async def connect(self, token: str) -> None:
        """Connect with command 1; fails unless the server accepts."""
        await self.handshake()
        await self.send(frame(TEXT, json.dumps({"id": 1, "connect": {"token": token}}).encode()))
        _, payload = await self.frame()
        assert "connect" in parse(payload), payload

    async def subscribe(self, channel: str) -> None:
        """Subscribe with command 2; fails unless the server accepts."""
        await self.send(frame(TEXT, json.dumps({"id": 2, "subscribe": {"channel": channel}}).encode()))
        _, payload = await self.frame()
        assert "subscribe" in parse(payload), payload

    async def frame(self) -> tuple[int, bytes]:
        """Return first byte and payload of the server's next frame."""
        async with asyncio.timeout(ANSWER_SECONDS):
            first, length = await self._reader.readexactly(2)
            if length >= 126:
                length = int.from_bytes(await self._reader.readexactly(2 if length == 126 else 8), "big")
            return first, await self._reader.readexactly(length)

    async def closed(self) -> tuple[int, str]:
        """Return code and reason of the server's close frame, and answer it.

        The server must then end the connection.
        """
        while True:
            first, payload = await self.frame()
            if first == CLOSE:
                break
        await self.send(frame(CLOSE, payload[:2]))
        await self.ended()
        return int.from_bytes(payload[:2], "big"), payload[2:].decode()

    async def ended(self) -> None:
        """Wait until the server ends the connection; raises TimeoutError."""
        with contextlib.suppress(ConnectionResetError):
            async with asyncio.timeout(ANSWER_SECONDS):
                while await self._reader.read(READ_BYTES):
                    pass

    async def dribble(self, data: Callable[[], bytes], every: float) -> None:
        """Send a few bytes repeatedly until the server ends the connection; raises TimeoutError."""
        ended = asyncio.create_task(self.ended(), name="ended")
        try:
            while not ended.done():
                await self.send(data())
                await asyncio.wait({ended}, timeout=every)
            ended.result()
        finally:
            ended.cancel()


class _ReadBuffer(Protocol):
    """Methods of a TLS transport that others lack."""

    def set_read_buffer_limits(self, high: int) -> None:
        """Stop reading from the socket while `high` bytes are unread."""


@contextlib.asynccontextmanager
async def raw_stream(
    port: int, *, receive_buffer: int | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawStream]:
    """Open a TCP connection on loopback, optionally with a small receive buffer; it is closed after the body."""
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
        # By default it reads half a megabyte ahead.
        cast("_ReadBuffer", writer.transport).set_read_buffer_limits(receive_buffer)
    try:
        yield RawStream(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()
