"""The `websockets` library with its own broadcast: `python -m bench.servers.websockets_peer PORT SECRET`.

Speaks as much of Centrifugo's client protocol as the scenarios need. One event loop of uvloop, no compression.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import defaultdict

import jwt
import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

ENCODER = json.JSONEncoder(separators=(",", ":"))
"""Compact encoding, as the other servers use it."""
channels: defaultdict[str, set[ServerConnection]] = defaultdict(set)


def answer(connection: ServerConnection, command: dict[str, object], secret: str) -> str:
    """Carry out one command and return the reply."""
    number = command["id"]
    encode = ENCODER.encode
    connect, publish, subscribe = command.get("connect"), command.get("publish"), command.get("subscribe")
    if isinstance(connect, dict):
        claims = jwt.decode(str(connect["token"]), secret, algorithms=["HS256"])
        return encode({"id": number, "connect": {"client": claims["sub"], "version": "peer"}})
    if isinstance(publish, dict):
        subscribers = channels.get(str(publish["channel"]))
        if subscribers:
            broadcast(subscribers, encode({"push": {"channel": publish["channel"], "pub": {"data": publish["data"]}}}))
        return encode({"id": number, "publish": {}})
    if isinstance(subscribe, dict):
        channels[str(subscribe["channel"])].add(connection)
    return encode({"id": number, "subscribe": {}})


async def main(port: int, secret: str) -> None:
    """Serve until the process is ended."""

    async def handle(connection: ServerConnection) -> None:
        try:
            with contextlib.suppress(ConnectionClosed):
                async for message in connection:
                    lines = str(message).split("\n")
                    await connection.send("\n".join(answer(connection, json.loads(line), secret) for line in lines))
        finally:
            for subscribers in channels.values():
                subscribers.discard(connection)

    async with serve(handle, "127.0.0.1", port, compression=None, ping_interval=None, backlog=4096):
        await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), sys.argv[2]))
