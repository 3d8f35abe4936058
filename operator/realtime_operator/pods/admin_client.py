"""Talks to the admin API of servers: asks for their reports, begins and ends drains."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import aiohttp

from realtime_operator import naming
from realtime_operator.planning.world import ServerReport, ServerState

CALL_SECONDS = 2.0
CONCURRENT_CALLS = 32


class ServerUnavailableError(Exception):
    """The server did not answer in time, or not as expected."""


class AdminClient:
    """One client for all servers of all clusters. `address` is a pod's IP, `token` the cluster's admin token."""

    def __init__(self, port: int = naming.PORT_ADMIN) -> None:
        self._port = port
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(CONCURRENT_CALLS)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def report(self, address: str, token: str) -> ServerReport | None:
        """What the server says of itself; None when it cannot be asked."""
        try:
            return read_report(await self._call("GET", address, token, "status"))
        except (ServerUnavailableError, KeyError, TypeError, ValueError):
            return None

    async def drain(self, address: str, token: str, connections_per_second: float) -> None:
        """Begin a drain or change its rate; raises ServerUnavailableError."""
        await self._call("POST", address, token, "drain", {"connections_per_second": connections_per_second})

    async def resume(self, address: str, token: str) -> None:
        """End a drain and serve again; raises ServerUnavailableError."""
        await self._call("POST", address, token, "resume")

    async def _call(
        self, method: str, address: str, token: str, name: str, body: Mapping[str, float] | None = None
    ) -> Mapping[str, object]:
        if self._session is None:
            # A pod's address is given to another one soon: links are not kept.
            connector = aiohttp.TCPConnector(force_close=True, limit=CONCURRENT_CALLS)
            timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        host = f"[{address}]" if ":" in address else address
        url = f"http://{host}:{self._port}/admin/v1/{name}"
        headers = {"Authorization": f"Bearer {token}"}
        try:
            async with (
                self._slots,
                self._session.request(method, url, json=dict(body or {}), headers=headers) as response,
            ):
                response.raise_for_status()
                document: Mapping[str, object] = await response.json()
                return document
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise ServerUnavailableError(f"{name}: {type(error).__name__}") from error


def read_report(document: Mapping[str, object]) -> ServerReport:
    """The report in an answer of `GET /admin/v1/status`; raises KeyError, TypeError or ValueError."""
    return ServerReport(
        state=ServerState(str(document["state"])),
        connections=int(str(document["connections"])),
        seconds_since_last_accept=_number(document.get("seconds_since_last_accept")),
        accept_cost_seconds=_number(document.get("accept_cost_seconds")),
        drain_rate=_number(document.get("drain_rate")),
        backplane_healthy=document.get("backplane_healthy") is True,
        workers=int(str(document.get("workers", 1))),
    )


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))
