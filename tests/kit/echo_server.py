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
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import cast

import uvloop
from websockets.frames import Opcode

from realtime_server.app import make_node
from realtime_server.core.node import Node
from realtime_server.core.sessions.session import Session
from realtime_server.protocols.centrifuge.json_codec import JsonCodec
from realtime_server.settings import Settings
from realtime_server.transports.accelerated import Flusher
from realtime_server.transports.compression import Deflater, Negotiation
from realtime_server.transports.dialect import DIALECTS
from realtime_server.transports.frames import frame_binary, frame_text
from realtime_server.transports.http_server import HttpServer, HttpSettings
from realtime_server.transports.protocol_sniffer import ProtocolSniffer
from realtime_server.transports.server_handshake import HandshakePolicy
from realtime_server.transports.sockets import Sockets
from realtime_server.transports.time_limit import TimeLimit
from realtime_server.transports.websocket import WebSocketConnection, WebSocketSettings

PATH = "/connection/websocket"
CONNECTIONS = 1000
START_SECONDS = 15


class EchoCodec(JsonCodec):
    """Codec of echoed messages, which are compressed from the first byte on if that was negotiated."""

    def __init__(self, *, compressed: bool) -> None:
        deflater = Deflater(0)
        self.text = deflater.frame_text if compressed else frame_text
        self.bytes = deflater.frame_binary if compressed else frame_binary
        super().__init__(self.text)


class EchoConnection(WebSocketConnection):
    """A connection that echoes messages instead of passing them to the session."""

    def take_message(self, session: Session, opcode: int, payload: bytes, now: float) -> None:
        """Answer with the same message."""
        del now
        codec = cast("EchoCodec", session.codec)
        self.write(codec.text(payload) if opcode == Opcode.TEXT else codec.bytes(payload))


def _node(message_bytes: int) -> Node:
    """Return a node that serves clients without a connect command for a day, at any rate of messages."""
    limits = {"message_bytes": message_bytes, "outbox_bytes": 16 * message_bytes, "messages_per_second": 10_000_000}
    return make_node(Settings.model_validate({"limits": limits, "listen": {"handshake_seconds": 86_400}}))


async def serve(port: int, message_bytes: int, *, compress: bool) -> None:
    """Print the port, and serve until standard input ends."""
    loop = asyncio.get_running_loop()
    node, sockets = _node(message_bytes), Sockets(CONNECTIONS)
    http = HttpServer(HttpSettings(message_bytes, 10), {}, node.counters, sockets, loop)
    sniffer = ProtocolSniffer(sockets, http)
    policy = HandshakePolicy(extensions=(Negotiation(),) if compress else ())
    settings = WebSocketSettings(CONNECTIONS, message_bytes, policy, TimeLimit(loop, 10), TimeLimit(loop, 3))
    codecs = {dialect: EchoCodec(compressed=dialect.compressed) for dialect in DIALECTS}
    flusher = Flusher(loop.call_soon, 16 * message_bytes)

    def make() -> EchoConnection:
        sockets.enter()
        return EchoConnection(node, codecs, settings, loop, sniffer, flusher)

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
