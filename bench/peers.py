"""The compared servers: each is started on the servers' core, fresh for every measurement."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import msgspec
from tests.kit.redis_process import free_port, running_redis
from tests.kit.server_process import TOKEN_SECRET, ServerProcess

from bench import build
from bench.build import SERVERS, BuildError
from bench.generator import LoadError, Protocol, Target
from bench.machine import family, on_server_core
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_server.namespace_settings import Namespace
from realtime_server.settings import Limits

REPOSITORY = Path(__file__).parents[1]
START_SECONDS = 20.0
LOG_BYTES = 2000
"""Bytes of a server's last output to show when it does not start."""

FLOOR, FLOOR_JOINED = "C floor", "C floor, 1 ms"
OURS, OURS_JOINED, OURS_REDIS = "realtime-server", "realtime-server, 1 ms", "realtime-server, Redis"
OURS_BEFORE = "realtime-server, before"
"""The server of another commit."""
CENTRIFUGE, CENTRIFUGE_JOINED, CENTRIFUGE_REDIS = "Centrifuge", "Centrifuge, 1 ms", "Centrifuge, Redis"
WS, SOCKET_IO, WEBSOCKETS = "ws", "Socket.IO", "websockets"
OURS_SOCKET_IO, OURS_POLLING = "realtime-server, Socket.IO", "realtime-server, polling"
OURS_SOCKET_IO_REDIS = "realtime-server, Socket.IO, Redis"
SOCKET_IO_POLLING, SOCKET_IO_REDIS = "Socket.IO, polling", "Socket.IO, Redis"
OURS_ENVELOPE, OURS_BARE = "realtime-server, envelope", "realtime-server, bare"
"""Routes for clients without an SDK, by the form of their messages."""
PLAIN = (FLOOR, OURS, OURS_BEFORE, CENTRIFUGE, WS, SOCKET_IO, WEBSOCKETS)
"""Servers without joined writes and without Redis."""

LIMITS: JsonObject = {
    "connections": 100_000,
    "messages_per_second": 1_000_000,
    "outbox_bytes": 16 * 1024 * 1024,
}
"""`limits` of this project's server as the scenarios need them; none is switched off."""
NAMESPACE: JsonObject = {"name": "open", "publish": "anyone"}
"""Namespace of the measured channels."""
CONFIGURATION: JsonObject = {"workers": 1, "limits": LIMITS, "namespaces": [NAMESPACE]}
"""Configuration of this project's server, besides ports, keys and Redis."""
SOCKET_IO_CONFIGURATION: JsonObject = {**CONFIGURATION, "protocols": {"socket_io": {"enabled": True}}}
"""CONFIGURATION with Socket.IO, where a room is the channel of its name."""
WRITE_DELAY = "write_delay_seconds"
"""Field of a namespace, or of `limits`: seconds for which writes to one connection are joined."""
JOINED_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Peer:
    """One server that can be started repeatedly."""

    name: str
    start: Callable[[], AbstractAsyncContextManager[Target]]


@dataclass(frozen=True, slots=True)
class Peers:
    """The servers that can run here, by name, and the reasons why others cannot."""

    found: dict[str, Peer]
    versions: dict[str, str]
    notices: tuple[str, ...]


def prepare(wanted: Callable[[str], bool], before: Path | None = None) -> Peers:
    """Build and install the wanted peers, by the name before a comma; note those that are unavailable.

    `before` has the installed packages of another commit, whose server is measured too.
    """
    found: list[Peer] = []
    if before is not None:
        found.append(Peer(OURS_BEFORE, lambda: _realtime_server(CONFIGURATION, before)))
    versions: dict[str, str] = {}
    notices = []
    for name, makers in _MAKERS.items():
        if name != FLOOR and not wanted(name):
            continue
        try:
            made, versions[name] = makers()
            found += made
        except BuildError as error:
            if name == FLOOR:
                raise
            notices.append(f"{name} is left out: {error}")
    if wanted(OURS) and joined_configuration() is None:
        notices.append(f"{OURS_JOINED} is left out: the server has no `{WRITE_DELAY}` yet")
    return Peers({peer.name: peer for peer in found}, versions, tuple(notices))


def joined_configuration() -> JsonObject | None:
    """Return CONFIGURATION with writes joined for JOINED_SECONDS; None when the server has no such option."""
    if WRITE_DELAY in Namespace.model_fields:
        return {**CONFIGURATION, "namespaces": [{**NAMESPACE, WRITE_DELAY: JOINED_SECONDS}]}
    if WRITE_DELAY in Limits.model_fields:
        return {**CONFIGURATION, "limits": {**LIMITS, WRITE_DELAY: JOINED_SECONDS}}
    return None


def plain_configuration(envelope: str) -> JsonObject:
    """Return CONFIGURATION with a route whose clients are subscribed, and one whose messages are published to them."""
    channel = f"{NAMESPACE['name']}:bench"
    publish: JsonObject = {"key": "$default", "publish": {"channel": channel}}
    routes: list[JsonValue] = [
        {"name": "subscribe", "subscribe": [channel], "envelope": envelope},
        {"name": "publish", "actions": [publish]},
    ]
    return {**CONFIGURATION, "protocols": {"web_socket": {"routes": routes}}}


def _floor() -> tuple[list[Peer], str]:
    program = str(build.c_program("floor"))
    milliseconds = f"{JOINED_SECONDS * 1000:g}"
    return [
        Peer(FLOOR, lambda: _process(program, "{port}")),
        Peer(FLOOR_JOINED, lambda: _process(program, "{port}", milliseconds)),
    ], "of this repository"


def _ours() -> tuple[list[Peer], str]:
    peers = [
        Peer(OURS, lambda: _realtime_server(CONFIGURATION)),
        Peer(OURS_REDIS, lambda: _realtime_servers_with_redis(CONFIGURATION)),
        Peer(OURS_SOCKET_IO_REDIS, lambda: _realtime_servers_with_redis(SOCKET_IO_CONFIGURATION, protocol="socket.io")),
        Peer(OURS_SOCKET_IO, lambda: _realtime_server(SOCKET_IO_CONFIGURATION, protocol="socket.io")),
        Peer(OURS_POLLING, lambda: _realtime_server(SOCKET_IO_CONFIGURATION, protocol="socket.io-polling")),
        Peer(OURS_ENVELOPE, lambda: _realtime_server(plain_configuration("json"), protocol="plain")),
        Peer(OURS_BARE, lambda: _realtime_server(plain_configuration("none"), protocol="plain")),
    ]
    joined = joined_configuration()
    if joined is not None:
        peers.append(Peer(OURS_JOINED, lambda: _realtime_server(joined)))
    return peers, f"of this repository, uvloop {version('uvloop')}, CPython {sys.version.split()[0]}"


def _centrifuge() -> tuple[list[Peer], str]:
    program = str(build.go_program("centrifuge"))
    command = (program, "-port", "{port}", "-secret", TOKEN_SECRET)
    joined = (*command, "-write-delay", f"{JOINED_SECONDS * 1000:g}ms")
    required = (SERVERS / "centrifuge" / "go.mod").read_text().partition("centrifugal/centrifuge ")[2].split()[0]
    return [
        Peer(CENTRIFUGE, lambda: _process(*command)),
        Peer(CENTRIFUGE_JOINED, lambda: _process(*joined)),
        Peer(CENTRIFUGE_REDIS, lambda: _processes_with_redis(*command, "-redis", "127.0.0.1:{redis}")),
    ], f"{required}, GOMAXPROCS=1"


def _node_peer(package: str, script: str) -> tuple[tuple[str, ...], str]:
    """Return the command of a server in JavaScript, and the version of the package that it uses."""
    node = build.node_modules()
    manifest = msgspec.json.decode((SERVERS / "node_modules" / package / "package.json").read_bytes())
    return (node, str(SERVERS / script), "{port}", TOKEN_SECRET), str(manifest["version"])


def _ws() -> tuple[list[Peer], str]:
    command, found = _node_peer("ws", "ws_peer.mjs")
    return [Peer(WS, lambda: _process(*command))], found


def _socket_io() -> tuple[list[Peer], str]:
    command, found = _node_peer("socket.io", "socketio_peer.mjs")
    redis = (*command, "redis://127.0.0.1:{redis}")
    return [
        Peer(SOCKET_IO, lambda: _process(*command, protocol="socket.io")),
        Peer(SOCKET_IO_POLLING, lambda: _process(*command, protocol="socket.io-polling")),
        Peer(SOCKET_IO_REDIS, lambda: _processes_with_redis(*redis, protocol="socket.io")),
    ], found


def _websockets() -> tuple[list[Peer], str]:
    command = (sys.executable, "-P", "-m", "bench.servers.websockets_peer", "{port}", TOKEN_SECRET)
    return [Peer(WEBSOCKETS, lambda: _process(*command))], f"{version('websockets')}, on uvloop"


_MAKERS: dict[str, Callable[[], tuple[list[Peer], str]]] = {
    FLOOR: _floor,
    OURS: _ours,
    CENTRIFUGE: _centrifuge,
    WS: _ws,
    SOCKET_IO: _socket_io,
    WEBSOCKETS: _websockets,
}
NAMES = tuple(_MAKERS)
"""Valid names for `--peers`."""


@contextlib.asynccontextmanager
async def _realtime_server(
    configuration: JsonObject, packages: Path | None = None, *, protocol: Protocol = "centrifugo"
) -> AsyncIterator[Target]:
    server = ServerProcess("bench", None, **configuration)
    if packages is not None:
        server.variables = {"PYTHONPATH": str(packages)}
    async with _started(server) as pids:
        yield Target(server.client_port, server.client_port, pids, protocol)


@contextlib.asynccontextmanager
async def _realtime_servers_with_redis(
    configuration: JsonObject, *, protocol: Protocol = "centrifugo"
) -> AsyncIterator[Target]:
    """Run publishers' and subscribers' servers with Redis, whose CPU time counts as the server's."""
    async with contextlib.AsyncExitStack() as stack:
        with on_server_core():
            redis = stack.enter_context(running_redis())
        first = ServerProcess("bench-1", redis, **configuration)
        second = ServerProcess("bench-2", redis, **configuration)
        pids = (*await stack.enter_async_context(_started(first)), *await stack.enter_async_context(_started(second)))
        assert redis.process is not None
        yield Target(second.client_port, first.client_port, (*pids, redis.process.pid), protocol)


@contextlib.asynccontextmanager
async def _started(server: ServerProcess) -> AsyncIterator[tuple[int, ...]]:
    with on_server_core():
        await server.__aenter__()
    try:
        assert server.process is not None
        yield family(server.process.pid)
    finally:
        with contextlib.redirect_stdout(None):
            await server.__aexit__()


@contextlib.asynccontextmanager
async def _processes_with_redis(*command: str, protocol: Protocol = "centrifugo") -> AsyncIterator[Target]:
    """Run a program twice with one Redis, whose port replaces `{redis}` in its arguments."""
    async with contextlib.AsyncExitStack() as stack:
        with on_server_core():
            redis = stack.enter_context(running_redis())
        words = [word.replace("{redis}", str(redis.port)) for word in command]
        both = [await stack.enter_async_context(_process(*words)) for _ in range(2)]
        assert redis.process is not None
        pids = (*both[0].pids, *both[1].pids, redis.process.pid)
        yield Target(both[1].port, both[0].port, pids, protocol)


@contextlib.asynccontextmanager
async def _process(*command: str, protocol: Protocol = "centrifugo") -> AsyncIterator[Target]:
    """Run a program whose arguments have `{port}` in place of its port."""
    port = free_port()
    with tempfile.TemporaryFile() as log:
        with on_server_core():
            process = await asyncio.create_subprocess_exec(
                *(word.replace("{port}", str(port)) for word in command),
                cwd=REPOSITORY,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY), "GOMAXPROCS": "1"},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        try:
            if not await _accepts(port, process):
                log.seek(0)
                raise LoadError(f"`{command[0]}` does not start: {log.read()[-LOG_BYTES:].decode(errors='replace')}")
            yield Target(port, port, (process.pid,), protocol)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _accepts(port: int, process: asyncio.subprocess.Process) -> bool:
    deadline = asyncio.get_running_loop().time() + START_SECONDS
    while process.returncode is None and asyncio.get_running_loop().time() < deadline:
        try:
            async with asyncio.timeout(1):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
        except (OSError, TimeoutError):
            await asyncio.sleep(0.05)
            continue
        writer.close()
        return True
    return False
