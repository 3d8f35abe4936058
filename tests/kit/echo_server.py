"""A server that echoes each WebSocket message, so that a fuzzing client can drive the transport.

Everything but the answer is the product's: handshake, parser, compression, control frames, outbox. Every client of
`/connection/websocket` is served, without a token or a time limit.

    python -m tests.kit.echo_server [--port PORT] [--message-bytes BYTES] [--compress]
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from pathlib import Path

import uvloop
from websockets.typing import Subprotocol

from realtime_server.app import make_node
from realtime_server.codes import DisconnectCode
from realtime_server.settings import Settings
from realtime_server.transports.accelerated import Flusher
from realtime_server.transports.client_protocol import ClientWebSocket, HandshakeRefusal
from realtime_server.transports.compression import Deflater, Negotiation
from realtime_server.transports.frames import frame_binary, frame_text
from realtime_server.transports.handshake import AcceptedHandshake
from realtime_server.transports.http_server import HttpServer, HttpSettings, Route
from realtime_server.transports.path_table import PathTable
from realtime_server.transports.protocol_sniffer import ProtocolSniffer
from realtime_server.transports.server_handshake import HandshakePolicy
from realtime_server.transports.sockets import Sockets
from realtime_server.transports.time_limit import TimeLimit
from realtime_server.transports.websocket import WebSocketConnection, WebSocketSettings
from realtime_server.transports.websocket_paths import WebSocketPaths

PATH = "/connection/websocket"
CONNECTIONS = 1000
START_SECONDS = 15


class EchoSession:
    """Session that echoes messages: implements WebSocketSession. They are compressed if that was negotiated."""

    admitted = True

    def __init__(self, connection: ClientWebSocket, *, compressed: bool) -> None:
        deflater = Deflater(0)
        self._connection = connection
        self._text = deflater.frame_text if compressed else frame_text
        self._bytes = deflater.frame_binary if compressed else frame_binary
        self.closed = False

    def on_text(self, payload: bytes, now: float) -> None:
        """Answer with the same message."""
        del now
        self._connection.write(self._text(payload))

    def on_binary(self, payload: bytes, now: float) -> None:
        """Answer with the same message."""
        del now
        self._connection.write(self._bytes(payload))

    def on_control(self, now: float) -> None:
        """Do nothing."""

    def on_pong(self) -> None:
        """Do nothing."""

    def on_writable(self) -> None:
        """Do nothing."""

    def note_unanswered(self, code: int) -> None:
        """Do nothing."""

    def disconnect(self, code: DisconnectCode) -> None:
        """See WebSocketSession."""
        self._connection.close(code)
        self.closed = True

    def on_closed(self) -> None:
        """See WebSocketSession."""
        self.closed = True


class EchoProtocol:
    """Client protocol without a session in core: implements ClientProtocol."""

    websocket_paths = (PATH,)

    def routes(self) -> Mapping[str, Route]:
        """Return no endpoint."""
        return {}

    def select_subprotocol(self, path: str, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        """Select none."""
        del path, offered
        return None

    def why_not(self, path: str, values: Callable[[str], list[str]]) -> HandshakeRefusal | None:
        """Refuse nothing."""
        del path, values
        return None

    def open(self, connection: ClientWebSocket, accepted: AcceptedHandshake) -> EchoSession:
        """See ClientProtocol."""
        return EchoSession(connection, compressed=accepted.compressed)


async def serve(port: int, message_bytes: int, *, compress: bool) -> None:
    """Print the port, and serve until standard input ends."""
    loop = asyncio.get_running_loop()
    node, sockets = make_node(Settings()), Sockets(CONNECTIONS)
    http = HttpServer(HttpSettings(message_bytes, 10), {}, node.counters, sockets, loop)
    sniffer = ProtocolSniffer(sockets, http, WebSocketPaths((PATH,)))
    policy = HandshakePolicy(PathTable({PATH: EchoProtocol()}), extensions=(Negotiation(),) if compress else ())
    settings = WebSocketSettings(CONNECTIONS, message_bytes, policy, TimeLimit(loop, 10), TimeLimit(loop, 3))
    flusher = Flusher(loop.call_soon, 16 * message_bytes)

    def make() -> WebSocketConnection:
        sockets.enter()
        return WebSocketConnection(node, settings, loop, sniffer, flusher)

    await node.start()
    server = await loop.create_server(make, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()
    await node.stop()


@contextlib.asynccontextmanager
async def running_echo_server(message_bytes: int, *options: str) -> AsyncIterator[int]:
    """Run it as a process of its own; its port."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "tests.kit.echo_server", "--message-bytes", str(message_bytes), *options,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_SECONDS):
            port = int(await process.stdout.readline())
        yield port
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(START_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def main(arguments: Sequence[str]) -> None:
    """Run until standard input ends."""
    parser = argparse.ArgumentParser(prog="tests.kit.echo_server", description="Answer each message with itself.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1 (default: a free one)")
    parser.add_argument("--message-bytes", type=int, default=16_777_216, help="largest message (default: 16 MiB)")
    parser.add_argument("--compress", action="store_true", help="negotiate permessage-deflate with those who offer it")
    options = parser.parse_args(arguments)
    uvloop.run(serve(options.port, options.message_bytes, compress=options.compress))


if __name__ == "__main__":
    main(sys.argv[1:])
