"""Client of the servers' admin API: reports, drains, and moving of connections."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping
from http import HTTPStatus

import aiohttp

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.planning.model.totals import read_totals
from realtime_operator.planning.model.world import ProbeReport, Recent, ServerReport, ServerState, StoreReport

CALL_SECONDS = 2.0
HISTORY_SECONDS = 30.0
"""Longest time between two pieces of an exported history."""
CONCURRENT_CALLS = 32

AdminToken = str | tuple[str, ...]
"""The admin token, or several values of which a server accepts one."""


class ServerUnavailableError(Exception):
    """The server did not answer in time, or its answer is invalid."""


class UnknownCallError(ServerUnavailableError):
    """The server is of a release without this call."""


class AdminClient:
    """One client for all servers of all clusters.

    `address` is a pod's IP or the path of a Unix socket, `token` the cluster's admin token: one, or several of which
    a server accepts one, as while the token is rotated.
    """

    def __init__(self, port: int = naming.PORT_ADMIN) -> None:
        self._port = port
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(CONCURRENT_CALLS)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()

    async def is_ready(self, address: str, token: AdminToken) -> bool:
        """Return True when the server is ready for new connections; False when it does not answer."""
        try:
            await self._call("GET", address, token, "/health/ready")
        except ServerUnavailableError:
            return False
        return True

    async def report(self, address: str, token: AdminToken) -> ServerReport | None:
        """Return the server's report; None when it does not answer or the report is invalid."""
        try:
            return read_report(await self._call("GET", address, token, "/admin/v1/status"))
        except (ServerUnavailableError, KeyError, TypeError, ValueError):
            return None

    async def drain(self, address: str, token: AdminToken, connections_per_second: float) -> None:
        """Begin a drain or change its rate; raises ServerUnavailableError."""
        await self._call("POST", address, token, "/admin/v1/drain", {"connections_per_second": connections_per_second})

    async def set_share(self, address: str, token: AdminToken, connections_per_second: float) -> None:
        """Set the rate of a drain that the server begins by itself; raises ServerUnavailableError."""
        await self._call("POST", address, token, "/admin/v1/share", {"connections_per_second": connections_per_second})

    async def shed(self, address: str, token: AdminToken, connections: int, connections_per_second: float) -> None:
        """Move a number of connections away while the server goes on serving; raises ServerUnavailableError."""
        body = {"connections": connections, "connections_per_second": connections_per_second}
        await self._call("POST", address, token, "/admin/v1/shed", body)

    async def probe(self, address: str, token: AdminToken) -> None:
        """Start a probe; raises ServerUnavailableError."""
        await self._call("POST", address, token, "/admin/v1/probe")

    async def quiesce(self, address: str, token: AdminToken) -> None:
        """Make the server accept no new connections; raises ServerUnavailableError."""
        await self._call("POST", address, token, "/admin/v1/quiesce")

    async def resume(self, address: str, token: AdminToken) -> None:
        """End a drain and serve again; raises ServerUnavailableError."""
        await self._call("POST", address, token, "/admin/v1/resume")

    async def metrics(self, address: str) -> str:
        """Return the server's metrics in Prometheus' text format; raises ServerUnavailableError."""
        return (await self._request("GET", address, "", "/metrics", None)).decode()

    async def export_history(self, address: str, token: str) -> AsyncIterator[bytes]:
        """Yield the lines of `GET /admin/v1/history` in pieces, as they arrive; raises ServerUnavailableError."""
        async with self._history("GET", address, token) as response:
            async for block in response.content.iter_any():
                yield block

    async def import_history(self, address: str, token: str, lines: bytes, *, replace: bool) -> JsonObject:
        """Store some of these lines; return what became of them. Raises ServerUnavailableError."""
        query = "?replace=true" if replace else ""
        async with self._history("POST", address, token, query, lines) as response:
            answer: JsonObject = await response.json()
            return answer

    @contextlib.asynccontextmanager
    async def _history(
        self, method: str, address: str, token: str, query: str = "", body: bytes = b""
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        path, headers = f"/admin/v1/history{query}", {"Authorization": f"Bearer {token.strip()}"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CALL_SECONDS, sock_read=HISTORY_SECONDS)
        try:
            async with (
                self._session_for(address) as session,
                session.request(
                    method, self._url(address, path), data=body, headers=headers, timeout=timeout
                ) as response,
            ):
                if response.status == HTTPStatus.NOT_FOUND:
                    raise UnknownCallError(path)
                if not response.ok:
                    raise ServerUnavailableError((await response.json())["error"]["message"])
                yield response
        except (aiohttp.ClientError, OSError, TimeoutError, KeyError, ValueError) as error:
            raise ServerUnavailableError(f"{path}: {type(error).__name__}") from error

    async def _call(
        self, method: str, address: str, token: AdminToken, path: str, body: Mapping[str, float] | None = None
    ) -> Mapping[str, object]:
        try:
            document: Mapping[str, object] = json.loads(await self._request(method, address, token, path, body))
        except ValueError as error:
            raise ServerUnavailableError(f"{path}: not JSON") from error
        return document

    async def _request(
        self, method: str, address: str, token: AdminToken, path: str, body: Mapping[str, float] | None
    ) -> bytes:
        first, *others = (token,) if isinstance(token, str) else token or ("",)
        try:
            return await self._send(method, address, first, path, body)
        except aiohttp.ClientResponseError as error:
            if error.status == HTTPStatus.UNAUTHORIZED and others:
                return await self._request(method, address, tuple(others), path, body)
            raise ServerUnavailableError(f"{path}: {type(error).__name__}") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise ServerUnavailableError(f"{path}: {type(error).__name__}") from error

    async def _send(self, method: str, address: str, token: str, path: str, body: Mapping[str, float] | None) -> bytes:
        headers = {"Authorization": f"Bearer {token.strip()}"} if token else {}  # servers strip theirs
        async with (
            self._slots,
            self._session_for(address) as session,
            session.request(method, self._url(address, path), json=dict(body or {}), headers=headers) as response,
        ):
            response.raise_for_status()
            return await response.read()

    @contextlib.asynccontextmanager
    async def _session_for(self, address: str) -> AsyncIterator[aiohttp.ClientSession]:
        """Yield a session that keeps no connection alive: an address is soon reused by another pod or process."""
        timeout = aiohttp.ClientTimeout(total=CALL_SECONDS)
        if address.startswith("/"):
            async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(address), timeout=timeout) as session:
                yield session
            return
        if self._session is None:
            connector = aiohttp.TCPConnector(force_close=True, limit=CONCURRENT_CALLS)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        yield self._session

    def _url(self, address: str, path: str) -> str:
        if address.startswith("/"):
            return f"http://server{path}"
        host = f"[{address}]" if ":" in address else address
        return f"http://{host}:{self._port}{path}"


def read_report(document: Mapping[str, object]) -> ServerReport:
    """Parse the report in an answer of `GET /admin/v1/status`; raises KeyError, TypeError or ValueError."""
    return ServerReport(
        state=ServerState(str(document["state"])),
        connections=int(str(document["connections"])),
        seconds_since_last_accept=_number(document.get("seconds_since_last_accept")),
        accept_cost_seconds=_number(document.get("accept_cost_seconds")),
        drain_rate=_number(document.get("drain_rate")),
        backplane_healthy=document.get("backplane_healthy") is True,
        workers=int(str(document.get("workers", 1))),
        recent=read_recent(document.get("recent")),
        store=read_store(document.get("store")),
        accepts_alternate_api_key=document.get("accepts_alternate_api_key") is True,
        share=_number(document["share"] or 0) if "share" in document else None,
        connect_seconds=_number(document.get("connect_p99_seconds")),
        loop_lag_seconds=_number(document.get("loop_lag_p99_seconds")),
        totals=read_totals(document.get("totals")),
        probe=read_probe(document.get("probe")),
    )


def read_probe(document: object) -> ProbeReport | None:
    """Read the latest result of a probe in the same answer; None before the first. Raises as `read_report`."""
    if not isinstance(document, dict):
        return None
    seconds, age = (float(str(document[name])) for name in ("seconds", "age_seconds"))
    return ProbeReport(str(document["code"]), document["has_token"] is True, seconds, age)


def read_store(document: object) -> StoreReport | None:
    """Read the state of Redis in the same answer; None when the server does not know it. Raises as `read_report`."""
    if not isinstance(document, dict):
        return None
    used, limit = (int(str(document[name])) for name in ("used_bytes", "limit_bytes"))
    return StoreReport(used, limit, str(document.get("primary", "")))


def read_recent(document: object) -> Recent | None:
    """Read what happened lately in the same answer; None from servers that do not count it. Raises as `read_report`."""
    if not isinstance(document, dict):
        return None
    failures = document.get("failures")
    return Recent(
        seconds=float(str(document["seconds"])),
        connects_succeeded=int(str(document["connects_succeeded"])),
        connects_failed=int(str(document["connects_failed"])),
        moved=int(str(document["moved"])),
        failures={str(code): int(str(count)) for code, count in failures.items()} if isinstance(failures, dict) else {},
    )


def _number(value: object) -> float | None:
    return None if value is None else float(str(value))
