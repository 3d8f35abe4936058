"""Process that serves the admin port on behalf of all workers."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Sequence
from pathlib import Path

import uvloop
from aiohttp import web

from realtime_server.admin.admin_server import AdminServer
from realtime_server.admin.shared_worker_state import SharedWorkerState
from realtime_server.admin.workers import Workers
from realtime_server.settings import Settings


def run(settings: Settings, listener: socket.socket, sockets: Sequence[Path], state: SharedWorkerState) -> None:
    """Serve the admin port until SIGTERM; blocks."""
    uvloop.run(_run(settings, listener, sockets, state))


async def _run(settings: Settings, listener: socket.socket, sockets: Sequence[Path], state: SharedWorkerState) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    workers = Workers(sockets, state)
    runner = web.AppRunner(
        AdminServer(workers, settings, state).application(), access_log=None, handle_signals=False, shutdown_timeout=1
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        await stop.wait()
    finally:
        await runner.cleanup()
        await workers.close()
