"""Processes of a server, and connections to it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.kit.deadline import eventually
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

WITHIN_SECONDS = 10.0


def pid_of(server: ServerProcess) -> int:
    """Return the id of the main process."""
    assert server.process is not None
    return server.process.pid


def children_of(pid: int) -> list[int]:
    """Return the ids of child processes, oldest first."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def workers_of(server: ServerProcess) -> list[int]:
    """Return the ids of the workers, which are started before the admin process."""
    return children_of(pid_of(server))[:-1]


def admin_process_of(server: ServerProcess) -> int:
    """Return the id of the admin process."""
    return children_of(pid_of(server))[-1]


def is_running(pid: int) -> bool:
    """Return True when the process exists and is no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def gone(*pids: int) -> None:
    """Wait until none of the processes is left."""

    async def left() -> list[int]:
        return [pid for pid in pids if is_running(pid)]

    await eventually(left, lambda pids: not pids, what="no process left", within=WITHIN_SECONDS, every=0.02)


async def ready(server: ServerProcess, *, wanted: bool = True) -> None:
    """Wait until the server is ready, or is not."""
    await eventually(
        server.ready, lambda is_ready: is_ready is wanted, what=f"ready: {wanted}", within=WITHIN_SECONDS, every=0.02
    )


async def exit_code_of(server: ServerProcess) -> int:
    """Wait until the server has ended, and return its exit code."""
    assert server.process is not None
    async with asyncio.timeout(WITHIN_SECONDS):
        return await server.process.wait()


class Client:
    """Open connection of a client, which records the code of its end."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.code: int | None = None
        self._task = asyncio.create_task(self._read(), name="client")

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                if await self._socket.recv() == "{}":
                    await self._socket.send("{}")
        self.code = self._socket.close_code

    async def closed(self) -> int | None:
        """Wait for the end, and return its code."""
        async with asyncio.timeout(WITHIN_SECONDS):
            await asyncio.shield(self._task)
        return self.code

    async def close(self) -> None:
        """Close the connection."""
        await self._socket.close()
        await self._task


@contextlib.asynccontextmanager
async def clients_of(server: ServerProcess, count: int) -> AsyncIterator[list[Client]]:
    """Open a number of connections."""
    async with contextlib.AsyncExitStack() as stack:
        made = []
        for number in range(count):
            socket = await connect(server.url, proxy=None)
            token = connection_token(TOKEN_SECRET, f"user-{number}")
            await socket.send(json.dumps({"id": 1, "connect": {"token": token}}))
            assert "error" not in json.loads(await socket.recv())
            client = Client(socket)
            stack.push_async_callback(client.close)
            made.append(client)
        yield made


def kill(pid: int, number: int) -> None:
    """Send a signal."""
    os.kill(pid, number)
