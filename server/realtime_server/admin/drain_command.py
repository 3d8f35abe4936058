"""`realtime-server drain`: what a pod runs before it is stopped. Quiesces, waits, and drains its own server."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass

import aiohttp
import msgspec

from realtime_server.core.limits.rates import rate_in_time
from realtime_server.settings import ANY_ADDRESS, Listen, SecretFile, Settings

POLL_SECONDS = 0.25
SAY_SECONDS = 2.0
CALL_SECONDS = 5.0
START_SECONDS = 20.0
"""How long a server that is starting is waited for, and at most CALL_SECONDS more.

Together with HURRY_SECONDS it is within the 30 s that the pod's grace period has beyond settling and draining.
"""
HURRY_SECONDS = 3.0
"""How long what is left at the end of the time may take to be closed."""
NO_WORKER = 503
"""The status code of the admin API's answer when a worker does not answer it."""
EVERY_ADDRESS = (ANY_ADDRESS, "0.0.0.0")  # noqa: S104 - only compared
"""Hosts of a listener that the loopback interface of IPv4 reaches."""
AT_ONCE = 1_000_000.0
"""Connections per second when the time is over."""


class CannotAskError(Exception):
    """The server does not answer, or not as it should."""


class NotStartedError(CannotAskError):
    """The server does not listen, or not all of its workers answer: perhaps it is only starting."""


@dataclass(frozen=True, slots=True)
class Status:
    """What is read of the server's status."""

    state: str
    connections: int
    drain_rate: float | None


def run(settings: Settings) -> int:
    """Drain the server on this machine; 0 when it is empty or its time is over, 1 when it cannot be asked."""
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
    """Return where this machine reaches the admin API. On a Unix socket the host of the URL means nothing."""
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
    if before.drain_rate is None:
        rate = round(rate_in_time(before.connections, drain.connections_per_second, drain.timeout_seconds), 1)
        _say(f"draining at {rate:g} connections per second")
        await _call(session, "POST", "drain", {"connections_per_second": rate})
    left = await _wait(session, drain.timeout_seconds)
    if left:
        _say(f"{left} connections left after {drain.timeout_seconds:g} s, closing them")
        await _call(session, "POST", "drain", {"connections_per_second": AT_ONCE})
        left = await _wait(session, HURRY_SECONDS)
    _say(f"done with {left} connections left")


async def _first_status(session: aiohttp.ClientSession) -> Status:
    """Ask for the status; wait for a server that is only starting, as SIGTERM would come before it can drain."""
    deadline = time.monotonic() + START_SECONDS
    said = False
    while True:
        try:
            return await _call(session, "GET", "status")
        except NotStartedError:
            if time.monotonic() + POLL_SECONDS >= deadline:
                raise
        if not said:
            said = True
            _say(f"the server does not answer yet, waiting for up to {START_SECONDS:g} s")
        await asyncio.sleep(POLL_SECONDS)


async def _wait(session: aiohttp.ClientSession, seconds: float) -> int:
    """Wait until no connection is left, or the time is over; how many are left. Bears that a worker is away."""
    deadline = time.monotonic() + seconds
    said = 0.0
    while True:
        try:
            left = (await _call(session, "GET", "status")).connections
        except CannotAskError:
            if time.monotonic() >= deadline:
                raise
        else:
            if left == 0 or time.monotonic() >= deadline:
                return left
            if time.monotonic() >= said + SAY_SECONDS:
                said = time.monotonic()
                _say(f"{left} connections left")
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
