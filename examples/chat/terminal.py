"""The room in a terminal, by any WebSocket: type a message, or /who. Needs `pip install websockets` alone."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import sys
import urllib.request
import uuid
from urllib.parse import quote

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

ROOM = "lobby"
PAUSE_SECONDS = 2.0


class Room:
    """The room as one user sees it; messages of ours wait in `unsent` until the server has acknowledged them."""

    def __init__(self, backend: str, name: str) -> None:
        self._backend = backend
        self._name = name
        self._position = ""
        self._seen: set[str] = set()
        self._members: dict[str, str] = {}
        self._unsent: dict[str, str] = {}
        self._connection: ClientConnection | None = None

    async def stay(self) -> None:
        """Be in the room; come back after a lost connection, and go on at the last position."""
        while True:
            with contextlib.suppress(OSError, ConnectionClosed, InvalidStatus, TimeoutError):
                found = await self._ask(f"token?name={quote(self._name)}")
                url = f"{found['url'].replace('http', 'ws', 1)}/ws/rooms/{ROOM}{self._position}"
                async with connect(url, additional_headers={"Authorization": f"Bearer {found['token']}"}) as connection:
                    await self._receive(connection)
            self._connection = None
            await asyncio.sleep(random.uniform(0, PAUSE_SECONDS))

    async def say(self, text: str) -> None:
        """Send a message, now or when the connection is back."""
        ident = str(uuid.uuid4())
        self._unsent[ident] = json.dumps({"id": ident, "from": self._name, "text": text})
        await self._send(ident)

    def who(self) -> None:
        """Print who is here."""
        print("here:", ", ".join(sorted(set(self._members.values()))), flush=True)

    async def _receive(self, connection: ClientConnection) -> None:
        async for text in connection:
            self._take(json.loads(text))
            if self._connection is None:  # after the first message, that we are in the room
                await self._look()
                self._connection = connection
                for ident in list(self._unsent):
                    await self._send(ident)

    async def _send(self, ident: str) -> None:
        if self._connection is not None:
            with contextlib.suppress(ConnectionClosed):
                await self._connection.send(self._unsent[ident])

    def _take(self, message: dict) -> None:
        at = message.get("subscribed", message)
        if "epoch" in at:
            self._position = f"?since={at['offset']}&epoch={quote(at['epoch'])}"
        if at.get("recovered") is False:
            print("* more was missed than is kept", flush=True)
        if "data" in message:
            self._show(message["data"])
        elif "joined" in message:
            self._members[message["joined"]["client"]] = message["joined"]["user"]
        elif "left" in message:
            self._members.pop(message["left"]["client"], None)
        elif "error" in message:
            print("*", message["error"]["message"], flush=True)
            self._unsent.pop(message.get("id", ""), None)
        elif "id" in message:
            self._unsent.pop(message["id"], None)

    def _show(self, data: dict) -> None:
        if data.get("id") not in self._seen:  # it may have been sent twice, when an acknowledgement was lost
            self._seen.add(data.get("id"))
            print(f"{data.get('from')}: {data.get('text')}", flush=True)

    async def _look(self) -> None:
        """Print the last messages, and note who is here."""
        found = await self._ask(f"room?name={ROOM}")
        for data in found["messages"]:
            self._show(data)
        self._members = {one["client"]: one["user"] for one in found["members"]}

    async def _ask(self, path: str) -> dict:
        return await asyncio.to_thread(_get, f"{self._backend}/{path}")


def _get(url: str) -> dict:
    with urllib.request.urlopen(url, timeout=5) as response:
        return json.load(response)


async def main() -> None:
    """Chat until the end of the input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--backend", default="http://127.0.0.1:3000")
    options = parser.parse_args()
    room = Room(options.backend, options.name)
    staying = asyncio.create_task(room.stay())
    while line := await asyncio.to_thread(sys.stdin.readline):
        if line.strip() == "/who":
            room.who()
        elif line.strip():
            await room.say(line.rstrip("\n"))
    staying.cancel()


if __name__ == "__main__":
    asyncio.run(main())
