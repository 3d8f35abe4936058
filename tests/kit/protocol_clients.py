"""Clients of all protocols that read one channel and come back by themselves, with the same questions to each."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import ClassVar, Protocol, Self
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from realtime_operator.api.base import JsonObject
from tests.kit.api import ServerApi
from tests.kit.clients import Channel, ClientOptions
from tests.kit.document import object_at, parse, text_at, whole_at
from tests.kit.sdk import JavaScriptClients
from tests.kit.socket_io import JavaScriptSocketIo, SocketOptions
from tests.kit.tokens import connection_token

NAMESPACE = "chat"
ROUTE = "chat"
PROTOCOLS: JsonObject = {
    "centrifuge": {"mode": "Enabled"},
    "socketIO": {"mode": "Enabled", "namespaces": [{"name": "/chat", "channelNamespace": NAMESPACE}]},
    "webSocket": {
        "routes": [
            {
                "name": ROUTE,
                "envelope": "Json",
                "subscribe": [f"{NAMESPACE}:{{query.room}}"],
                "actions": [{"key": "$default", "publish": {"channel": f"{NAMESPACE}:{{query.room}}"}}],
            }
        ]
    },
}
"""Value of `spec.protocols` with which the clients get into any room of the namespace `chat`."""
OPEN_SECONDS = 10
PAUSE_SECONDS = 0.2


class RoomClient(Protocol):
    """Client that is in one room while its context is entered."""

    joins_by_token: ClassVar[bool]
    """True if the token's claim `channels` has to name the room."""
    recovers: ClassVar[bool]
    """True if the client gets what is published while it is away."""

    def __init__(self, origin: str, token: str, room: str) -> None:
        """Take the servers' URL without a path (ws:// or wss://), a connection token, and the room."""

    @property
    def received(self) -> Sequence[JsonObject]:
        """Data of the publications, in the order in which they arrived."""

    @property
    def recoveries(self) -> Sequence[bool]:
        """For each return to the room, whether all that was missed arrived; empty if it does not recover."""

    async def publish(self, data: JsonObject) -> None:
        """Publish in the room."""

    async def __aenter__(self) -> Self:
        """Begin to connect."""

    async def __aexit__(self, *_: object) -> None:
        """Close the connection."""


class CentrifugeRoomClient:
    """The npm package centrifuge."""

    joins_by_token: ClassVar[bool] = False
    recovers: ClassVar[bool] = True

    def __init__(self, origin: str, token: str, room: str) -> None:
        self._channel = f"{NAMESPACE}:{room}"
        self._clients = JavaScriptClients(
            ClientOptions(
                endpoints=[f"{origin}/connection/websocket"],
                channels=[Channel(self._channel, recoverable=True)],
                tokens=[token],
                min_reconnect_delay=PAUSE_SECONDS,
                max_reconnect_delay=1.0,
            )
        )

    async def __aenter__(self) -> Self:
        """See RoomClient."""
        await self._clients.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """See RoomClient."""
        await self._clients.__aexit__()

    @property
    def received(self) -> Sequence[JsonObject]:
        """See RoomClient."""
        return [object_at(publication.data) for publication in self._clients.record.publications()]

    @property
    def recoveries(self) -> Sequence[bool]:
        """See RoomClient."""
        return [event.recovered for event in self._clients.record.recoveries()]

    async def publish(self, data: JsonObject) -> None:
        """See RoomClient."""
        await self._clients.call(0, "publish", channel=self._channel, data=data)


class SocketIoRoomClient:
    """The npm package socket.io-client, in a room of its token."""

    joins_by_token: ClassVar[bool] = True
    recovers: ClassVar[bool] = False
    recoveries: Sequence[bool] = ()

    def __init__(self, origin: str, token: str, room: str) -> None:
        self._room = room
        self._client = JavaScriptSocketIo(
            origin.replace("ws", "http", 1), ["websocket"], [SocketOptions(f"/{NAMESPACE}", {"token": token})]
        )

    async def __aenter__(self) -> Self:
        """See RoomClient."""
        await self._client.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        """See RoomClient."""
        await self._client.__aexit__()

    @property
    def received(self) -> Sequence[JsonObject]:
        """See RoomClient."""
        events = self._client.records[0].events
        assert {name for name, _ in events} <= {"message"}, events
        return [parse(json.dumps(args[0])) for _, args in events]

    async def publish(self, data: JsonObject) -> None:
        """See RoomClient."""
        assert await self._client.emit("publish", self._room, "message", data) == [{}]


class PlainRoomClient:
    """The library `websockets` with the loop of the guide: it connects again with its position."""

    joins_by_token: ClassVar[bool] = False
    recovers: ClassVar[bool] = True

    def __init__(self, origin: str, token: str, room: str) -> None:
        self.received: list[JsonObject] = []
        self.recoveries: list[bool] = []
        self._url = f"{origin}/ws/{ROUTE}"
        self._headers = {"Authorization": f"Bearer {token}"}
        self._query = {"room": room}
        self._connection: ClientConnection | None = None
        self._loop: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """See RoomClient."""
        self._loop = asyncio.create_task(self._run(), name="plain client")
        return self

    async def __aexit__(self, *_: object) -> None:
        """See RoomClient; raises what has ended the loop."""
        assert self._loop is not None
        self._loop.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._loop

    async def publish(self, data: JsonObject) -> None:
        """See RoomClient."""
        assert self._connection is not None
        await self._connection.send(json.dumps(data))

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError, InvalidHandshake, ConnectionClosed):
                await self._read()
            await asyncio.sleep(PAUSE_SECONDS)

    async def _read(self) -> None:
        """Read one connection until it is closed; AssertionError if the server forbids to come back."""
        url = f"{self._url}?{urlencode(self._query)}"
        async with connect(url, additional_headers=self._headers, open_timeout=OPEN_SECONDS, proxy=None) as connection:
            self._connection = connection
            async for text in connection:
                self._take(parse(text))
        code = connection.close_code or 0
        assert not 3500 <= code < 4000, f"closed for good: {code} {connection.close_reason}"

    def _take(self, message: JsonObject) -> None:
        subscribed = message.get("subscribed")
        position = object_at(subscribed) if subscribed is not None else message
        self._query |= {"since": str(whole_at(position, "offset")), "epoch": text_at(position, "epoch")}
        if "data" in message:
            self.received.append(object_at(message, "data"))
        if "recovered" in position:
            self.recoveries.append(position["recovered"] is True)


ROOM_CLIENTS: Mapping[str, type[RoomClient]] = {
    "centrifuge": CentrifugeRoomClient,
    "socket-io": SocketIoRoomClient,
    "plain": PlainRoomClient,
}
"""Clients of all protocols, by names that serve as users."""


@contextlib.asynccontextmanager
async def room_clients(origin: str, secret: str, room: str) -> AsyncIterator[dict[str, RoomClient]]:
    """Run a client of each protocol, by its user; tokens are signed with the secret."""
    async with contextlib.AsyncExitStack() as stack:
        clients: dict[str, RoomClient] = {}
        for user, kind in ROOM_CLIENTS.items():
            token = connection_token(secret, user, channels=[f"{NAMESPACE}:{room}"] if kind.joins_by_token else [])
            clients[user] = await stack.enter_async_context(kind(origin, token, room))
        yield clients


async def users_in(api: ServerApi, room: str) -> list[str]:
    """Return the users in a room, once for each connection."""
    answer = await api.call("presence", channel=f"{NAMESPACE}:{room}")
    entries = object_at(answer, "presence")
    return sorted(text_at(entries, entry, "user") for entry in entries)
