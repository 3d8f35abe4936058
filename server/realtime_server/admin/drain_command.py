"""`realtime-server drain`, the command of a pod's preStop hook: quiesce, wait, and drain the server of this pod.

The operator sees that the pod is to end, and sets the rate of the drain to the server's part of the budget. Without an
answer from it within GRANT_SECONDS, the drain begins at the share that it gave to the server before. A rate of 0 makes
it wait for servers that can receive; if that lasts HELD_SECONDS, nobody may be there to end it, and the share is used.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import msgspec

from realtime_server.core.limits.rates import rate_in_time
from realtime_server.settings import ANY_ADDRESS, Drain, Listen, SecretFile, Settings

POLL_SECONDS = 0.25
SAY_SECONDS = 2.0
CALL_SECONDS = 5.0
START_SECONDS = 20.0
"""Seconds to wait for a server that is still starting; the last attempt may add CALL_SECONDS.

Together with HURRY_SECONDS this fits into the 30 s of the pod's grace period beyond settling and draining.
"""
GRANT_SECONDS = 3.0
"""Seconds to wait for the operator to set the rate, after the settle time."""
HELD_SECONDS = 30.0
"""Seconds for which a rate of 0 is kept."""
PATIENCE = 0.1
"""Part of the drain's timeout that either of these waits may take."""
HURRY_SECONDS = 3.0
"""Seconds for closing the connections that are left at the end of the drain timeout."""
NO_WORKER = 503
"""HTTP status of the admin API when a worker does not answer it."""
EVERY_ADDRESS = (ANY_ADDRESS, "0.0.0.0")  # noqa: S104 - only compared
"""Listener hosts that accept connections to the IPv4 loopback address."""
AT_ONCE = 1_000_000.0
"""Rate in connections per second after the drain timeout: as fast as possible."""


class CannotAskError(Exception):
    """Failure to get a valid answer from the server."""


class NotStartedError(CannotAskError):
    """The server does not listen, or a worker does not answer: the server may still be starting."""


@dataclass(frozen=True, slots=True)
class Status:
    """Fields of the server's status that draining needs."""

    state: str
    connections: int
    drain_rate: float | None
    share: float | None


def run(settings: Settings) -> int:
    """Drain the server on this machine; return 0 when it is empty or its time is over, 1 when it does not answer."""
    try:
        asyncio.run(_run(settings))
    except CannotAskError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201 - a command speaks
        return 1
    return 0


async def _run(settings: Settings) -> None:
    token = SecretFile(settings.admin.token_file).read()
    path = settings.listen.admin_socket
    async with aiohttp.ClientSession(
        admin_url(settings.listen),
        connector=None if path is None else aiohttp.UnixConnector(str(path)),
        headers={"Authorization": f"Bearer {token}"},
        timeout=aiohttp.ClientTimeout(total=CALL_SECONDS),
    ) as session:
        await _drain(settings, session)


def admin_url(listen: Listen) -> str:
    """Return the URL of the admin API as this machine reaches it; on a Unix socket its host has no meaning."""
    if listen.admin_socket is not None:
        return "http://server"
    host, port = listen.admin_address
    host = "127.0.0.1" if host in EVERY_ADDRESS else host
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


async def _drain(settings: Settings, session: aiohttp.ClientSession) -> None:
    drain = settings.drain
    before = await _first_status(session)
    if before.state == "serving":
        await _call(session, "POST", "quiesce")
        _say(f"quiesced with {before.connections} connections, {drain.settle_seconds:g} s until new ones stay away")
        await asyncio.sleep(drain.settle_seconds)
    left = await _emptied(session, drain)
    if left:
        _say(f"{left} connections left after {drain.timeout_seconds:g} s, closing them")
        await _call(session, "POST", "drain", {"connections_per_second": AT_ONCE})
        left = await _wait(session, HURRY_SECONDS)
    _say(f"done with {left} connections left")


async def _first_status(session: aiohttp.ClientSession) -> Status:
    """Return the server's status; wait for a server that is still starting, since SIGTERM follows this command."""
    deadline = time.monotonic() + START_SECONDS
    printed = False
    while True:
        try:
            return await _call(session, "GET", "status")
        except NotStartedError:
            if time.monotonic() + POLL_SECONDS >= deadline:
                raise
        if not printed:
            printed = True
            _say(f"the server does not answer yet, waiting for up to {START_SECONDS:g} s")
        await asyncio.sleep(POLL_SECONDS)


async def _emptied(session: aiohttp.ClientSession, drain: Drain) -> int:
    """Wait until no connection is left or the timeout is over, and return the number left.

    Begins the drain at the share when nobody has set a rate.
    """
    deadline = time.monotonic() + drain.timeout_seconds
    waits_since = time.monotonic()
    async for status in _statuses(session, deadline):
        now = time.monotonic()
        if status.drain_rate:
            waits_since = now
        elif now - waits_since >= _patience(status, drain):
            share = status.share or drain.connections_per_second
            rate = round(rate_in_time(status.connections, share, deadline - now), 1)
            _say(f"draining at {rate:g} connections per second")
            await _call(session, "POST", "drain", {"connections_per_second": rate})
            waits_since = now
    return status.connections


def _patience(status: Status, drain: Drain) -> float:
    """Return the seconds to wait for a rate; without connections there is no need, and late ones are moved."""
    if status.connections == 0:
        return 0.0
    return min(GRANT_SECONDS if status.drain_rate is None else HELD_SECONDS, PATIENCE * drain.timeout_seconds)


async def _wait(session: aiohttp.ClientSession, seconds: float) -> int:
    """Wait until no connection is left or the time is over, and return the number left."""
    left = 0
    async for status in _statuses(session, time.monotonic() + seconds):
        left = status.connections
    return left


async def _statuses(session: aiohttp.ClientSession, deadline: float) -> AsyncIterator[Status]:
    """Yield the status again and again, the last time when no connection is left or after the deadline.

    Tolerates a worker that restarts meanwhile.
    """
    printed_at = time.monotonic() - SAY_SECONDS
    while True:
        try:
            status = await _call(session, "GET", "status")
        except CannotAskError:
            if time.monotonic() >= deadline:
                raise
        else:
            yield status
            if status.connections == 0 or time.monotonic() >= deadline:
                return
            if time.monotonic() >= printed_at + SAY_SECONDS:
                printed_at = time.monotonic()
                _say(f"{status.connections} connections left")
        await asyncio.sleep(POLL_SECONDS)


async def _call(session: aiohttp.ClientSession, method: str, name: str, body: dict[str, float] | None = None) -> Status:
    try:
        async with session.request(method, f"/admin/v1/{name}", json=body) as response:
            text = await response.read()
    except (aiohttp.ClientError, OSError) as error:
        raise NotStartedError(f"the server does not answer: {str(error) or 'no answer in time'}") from error
    if response.status != 200:
        kind = NotStartedError if response.status == NO_WORKER else CannotAskError
        raise kind(f"the server answered {response.status}: {text.decode(errors='replace')}")
    return msgspec.json.decode(text, type=Status)


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command speaks
