"""Client that runs a case over a bare socket and parses the server's answer strictly."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import zlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

from tests.component.websocket.case import BINARY, CLOSE, CONT, FIN, NO_CODE, PING, PONG, RSV1, TEXT, Case
from tests.kit.echo_server import PATH
from tests.kit.raw_client import UPGRADE, request

SECONDS = 10
READ_BYTES = 1 << 16
Chop = Callable[[tuple[bytes, ...]], Iterable[bytes]]
"""Function that divides frames into the pieces passed to the kernel."""


def at_once(frames: tuple[bytes, ...]) -> Iterable[bytes]:
    """Yield everything in one piece."""
    yield b"".join(frames)


def by_frame(frames: tuple[bytes, ...]) -> Iterable[bytes]:
    """Yield each frame in a piece of its own."""
    return frames


def by_byte(frames: tuple[bytes, ...]) -> Iterable[bytes]:
    """Yield single bytes; of long data the first and last thousand, and pieces of odd sizes between."""
    data = b"".join(frames)
    at = 0
    while at < len(data):
        size = 1 if at < 1000 or at >= len(data) - 1000 else min(997, len(data) - 1000 - at)
        yield data[at : at + size]
        at += size


CHOPS: dict[str, Chop] = {"at once": at_once, "by frame": by_frame, "by byte": by_byte}


@dataclass(slots=True)
class Answer:
    """Parsed answer of the server. Raises AssertionError for anything that no server may send."""

    compressed: bool
    messages: list[tuple[int, bytes]] = field(default_factory=list)
    pongs: list[bytes] = field(default_factory=list)
    code: int | None = None
    reason: str = ""
    deflated: int = 0
    """Number of compressed messages."""

    def take(self, data: bytes) -> None:
        """Parse everything that was read until the end of the connection."""
        while data:
            assert self.code is None, f"{data[:20].hex()} after the close frame"
            first, second = data[0], data[1]
            assert second < 128, "a server does not mask"
            length, start = second, 2
            if second == 126:
                length, start = int.from_bytes(data[2:4], "big"), 4
                assert length > 125, "a length in two bytes that fits into one"
            elif second == 127:
                length, start = int.from_bytes(data[2:10], "big"), 10
                assert length > 65_535, "a length in eight bytes that fits into two"
            assert len(data) >= start + length, "the last frame is not whole"
            self._take_frame(first, data[start : start + length])
            data = data[start + length :]

    def _take_frame(self, first: int, payload: bytes) -> None:
        opcode = first & 0x0F
        assert first & FIN, "the server sends no fragments"
        assert opcode in {TEXT, BINARY, CLOSE, PONG, PING}, f"opcode {opcode}"
        assert opcode != CONT
        if first & RSV1:
            assert self.compressed, "compressed, and not negotiated"
            assert opcode in {TEXT, BINARY}, "a compressed control frame"
            payload = _inflated(payload)
            self.deflated += 1
        assert not first & 0x30, "reserved bits"
        if opcode == CLOSE:
            assert len(payload) != 1, "half a code"
            self.code = int.from_bytes(payload[:2], "big") if payload else NO_CODE
            self.reason = payload[2:].decode()
        elif opcode == PONG:
            self.pongs.append(payload)
        elif opcode == TEXT:
            payload.decode()
            self.messages.append((opcode, payload))
        elif opcode == BINARY:
            self.messages.append((opcode, payload))


def _inflated(payload: bytes) -> bytes:
    """Decompress with the negotiated window: a larger one of the server is an error."""
    decompressor = zlib.decompressobj(-12)
    message = decompressor.decompress(payload + b"\x00\x00\xff\xff")
    assert not decompressor.unused_data
    assert not decompressor.unconsumed_tail
    return message


@contextlib.asynccontextmanager
async def opened(
    port: int, path: str = PATH, offer: str | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter, dict[str, str]]]:
    """Open a WebSocket under the test's full control; return it with the headers of the accepting answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=READ_BYTES)
    writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        headers = UPGRADE if offer is None else {**UPGRADE, "Sec-WebSocket-Extensions": offer}
        writer.write(request(path, headers=headers))
        async with asyncio.timeout(SECONDS):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        status, *lines = head.strip().split("\r\n")
        assert status.split(" ")[1] == "101", head
        pairs = (line.partition(":") for line in lines)
        yield reader, writer, {name.lower(): value.strip() for name, _, value in pairs}
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def answer_to(port: int, case: Case, chop: Chop, offer: str | None = None) -> Answer:
    """Run a case, and read until the server ends the connection. Raises TimeoutError when it does not."""
    async with opened(port, offer=offer) as (reader, writer, headers), asyncio.timeout(SECONDS):
        reading = asyncio.create_task(_read(reader), name="reading")
        try:
            await _write(writer, chop(case.sent))
            data = await reading
        finally:
            reading.cancel()
        answer = Answer(compressed="sec-websocket-extensions" in headers)
        answer.take(data)
        return answer


async def _write(writer: asyncio.StreamWriter, data: Iterable[bytes]) -> None:
    """Write until the server stops reading, which it does after answering."""
    with contextlib.suppress(ConnectionError):
        for piece in data:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)


async def _read(reader: asyncio.StreamReader) -> bytes:
    data = bytearray()
    while piece := await reader.read(READ_BYTES):
        data += piece
    return bytes(data)
