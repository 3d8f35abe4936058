"""`realtime-server drain`: what a pod runs before it is stopped. Quiesces, waits, drains its own server."""

from __future__ import annotations

import asyncio
import sys
import time

import aiohttp

from realtime_server.settings import SecretFile, Settings

POLL_SECONDS = 0.5


def run(settings: Settings) -> int:
    """Drain the server on this machine; 0 when it is empty or its time is over, 1 when it cannot be asked."""
    try:
        asyncio.run(_drain(settings))
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        print(f"error: the server cannot be asked: {error}", file=sys.stderr)  # noqa: T201 - a command speaks
        return 1
    return 0


async def _drain(settings: Settings) -> None:
    drain = settings.drain
    token = SecretFile(settings.admin.token_file).read()
    base = f"http://127.0.0.1:{settings.listen.admin_port}"
    timeout = aiohttp.ClientTimeout(total=5)
    async with aiohttp.ClientSession(base, headers={"Authorization": f"Bearer {token}"}, timeout=timeout) as session:
        deadline = time.monotonic() + drain.timeout_seconds
        status = await _call(session, "POST", "quiesce")
        if status["connections"] and status["drain_rate"] is None:
            _say(f"quiesced with {status['connections']} connections, waiting {drain.settle_seconds:g} s")
            await asyncio.sleep(drain.settle_seconds)
        elif status["connections"] == 0 and status["state"] == "quiesced":
            # The endpoint may still send somebody.
            await asyncio.sleep(min(1.0, drain.settle_seconds))
        if status["drain_rate"] is None:
            status = await _call(session, "POST", "drain", {"connections_per_second": drain.connections_per_second})
        while status["connections"] and time.monotonic() < deadline:
            _say(f"{status['connections']} connections left")
            await asyncio.sleep(POLL_SECONDS)
            status = await _call(session, "GET", "status")
        _say(f"done with {status['connections']} connections left")


async def _call(
    session: aiohttp.ClientSession, method: str, name: str, body: dict[str, float] | None = None
) -> dict[str, object]:
    async with session.request(method, f"/admin/v1/{name}", json=body or {}) as response:
        response.raise_for_status()
        document: dict[str, object] = await response.json()
        return document


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a command speaks
