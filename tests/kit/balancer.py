"""A substitute of a Service on loopback: one address in front of several servers.

New connections are distributed in turn over the servers in `endpoints`; removing one keeps its connections. `cut`
breaks all connections without a close frame, as a network failure does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Self

READ_BYTES = 65536


class Balancer:
    """A TCP relay on 127.0.0.1; `endpoints` are ports on 127.0.0.1 and may be changed at any time.

    `delay`: seconds that everything takes from one side to the other, the end of a connection too.
    """

    def __init__(self, endpoints: Sequence[int], *, delay: float = 0.0) -> None:
        self.endpoints = list(endpoints)
        self._delay = delay
        self.port = 0
        self.accepted = 0
        """Number of accepted connections."""
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._relays: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening and break all connections."""
        assert self._server is not None
        self._server.close()
        self.cut()
        await asyncio.gather(*self._relays, return_exceptions=True)

    def cut(self) -> None:
        """Break every connection."""
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._relays.add(task)
        self._writers.add(writer)
        try:
            await self._relay(reader, writer)
        finally:
            writer.transport.abort()
            self._writers.discard(writer)
            self._relays.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.endpoints:
            return
        self.accepted += 1
        with contextlib.suppress(OSError):
            port = self.endpoints[self.accepted % len(self.endpoints)]
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
            self._writers.add(server_writer)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_copy(reader, server_writer, self._delay), name="to the server")
                    group.create_task(_copy(server_reader, writer, self._delay), name="to the client")
            finally:
                server_writer.transport.abort()
                self._writers.discard(server_writer)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay: float) -> None:
    """Copy with a delay in seconds until the end of the stream, then end the other stream. Data is never reordered."""
    with contextlib.suppress(OSError):
        while data := await reader.read(READ_BYTES):
            await asyncio.sleep(delay)
            writer.write(data)
            await writer.drain()
        await asyncio.sleep(delay)
        if writer.can_write_eof():
            writer.write_eof()
