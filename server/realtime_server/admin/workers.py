"""All workers of a server as one: asks each over its socket, and adds up what they answer."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from realtime_server.admin.worker import decode_status
from realtime_server.core.ports import ServingState, WorkerStatus

CALL_SECONDS = 2.0


class WorkersUnavailableError(Exception):
    """A worker did not answer: it is starting, or has died and is being started again."""


def combine(statuses: Sequence[WorkerStatus]) -> WorkerStatus:
    """The status of a server: sums, the most recent accept, and the state of the worker that is least far."""
    order = [ServingState.SERVING, ServingState.QUIESCED, ServingState.DRAINING, ServingState.DRAINED]
    accepts = [s.seconds_since_last_accept for s in statuses if s.seconds_since_last_accept is not None]
    costs = [s.accept_cost_seconds for s in statuses if s.accept_cost_seconds is not None]
    rates = [s.drain_rate for s in statuses if s.drain_rate is not None]
    return WorkerStatus(
        state=min((s.state for s in statuses), key=order.index),
        connections=sum(s.connections for s in statuses),
        accepted_total=sum(s.accepted_total for s in statuses),
        seconds_since_last_accept=min(accepts, default=None),
        accept_cost_seconds=sum(costs) / len(costs) if costs else None,
        drain_rate=sum(rates) if rates else None,
        moved_total=sum(s.moved_total for s in statuses),
        backplane_healthy=all(s.backplane_healthy for s in statuses),
    )


class Workers:
    """The workers behind their sockets. Every call raises WorkersUnavailableError when one does not answer."""

    def __init__(self, sockets: Sequence[Path]) -> None:
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
        self._sessions = [
            aiohttp.ClientSession("http://worker", connector=aiohttp.UnixConnector(str(path)), timeout=timeout)
            for path in sockets
        ]

    def __len__(self) -> int:
        """How many there are."""
        return len(self._sessions)

    async def close(self) -> None:
        """Close all links."""
        for session in self._sessions:
            await session.close()

    async def status(self) -> WorkerStatus:
        """What is now."""
        return combine([decode_status(d) for d in await self._each("GET", "/status", [None] * len(self))])

    async def command(self, name: str) -> WorkerStatus:
        """`quiesce`, `resume` or `stop-drain`."""
        return await self._command(name, [{}] * len(self))

    async def drain(self, connections_per_second: float) -> WorkerStatus:
        """Drain all, each at its share of the rate."""
        share = {"connections_per_second": connections_per_second / len(self)}
        return await self._command("drain", [share] * len(self))

    async def shed(self, connections: int, connections_per_second: float) -> WorkerStatus:
        """Move this many, divided over the workers."""
        count = len(self)
        rate = connections_per_second / count
        shares = [
            {"connections": connections // count + (index < connections % count), "connections_per_second": rate}
            for index in range(count)
        ]
        return await self._command("shed", shares)

    async def metrics(self) -> list[str]:
        """The exposition of each worker that answers."""
        texts = await asyncio.gather(*(_text(session) for session in self._sessions), return_exceptions=True)
        return [text for text in texts if isinstance(text, str)]

    async def _command(self, name: str, bodies: Sequence[dict[str, object] | dict[str, float]]) -> WorkerStatus:
        return combine([decode_status(d) for d in await self._each("POST", f"/{name}", bodies)])

    async def _each(
        self, method: str, path: str, bodies: Sequence[dict[str, object] | dict[str, float] | None]
    ) -> list[dict[str, object]]:
        calls = [_ask(s, method, path, body) for s, body in zip(self._sessions, bodies, strict=True)]
        try:
            return await asyncio.gather(*calls)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise WorkersUnavailableError(str(error) or type(error).__name__) from error


async def _ask(session: aiohttp.ClientSession, method: str, path: str, body: object) -> dict[str, object]:
    async with session.request(method, path, json=body) as response:
        response.raise_for_status()
        document: dict[str, object] = await response.json()
        return document


async def _text(session: aiohttp.ClientSession) -> str:
    async with session.get("/metrics") as response:
        return await response.text()
