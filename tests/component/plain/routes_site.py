"""A server with routes, and the backend of their hooks."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.cloud_events_backend import CloudEventsBackend
from tests.kit.document import parse
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token

SECONDS = 15
CLOSED: JsonObject = {"name": "closed", "subscribe": "token", "publish": "nobody"}
SIGNING_KEY = "component-signing-key"
ORIGIN = "https://app.example"


def routes_of(backend: CloudEventsBackend) -> list[JsonValue]:
    """Return the routes of the tests."""
    hook: JsonObject = {"url": backend.url("quote"), "timeout_seconds": 5}
    return [
        {"name": "lobby", "subscribe": ["open:lobby"], "subprotocols": ["lobby.v2", "lobby.v1"]},
        {
            "name": "orders",
            "envelope": "json",
            "subscribe": ["chat:{query.id}"],
            "selection": "/action",
            "actions": [
                {"key": "$default", "publish": {"channel": "chat:{query.id}"}},
                {"key": "quote", "hook": hook},
                {"key": "order", "publish": {"channel": "closed:{query.id}"}},
            ],
        },
        {
            "name": "raw",
            "format": "binary",
            "subscribe": ["open:raw"],
            "actions": [{"key": "$default", "publish": {"channel": "open:raw"}}],
        },
        {
            "name": "rooms",
            "path": "/{room}/{desk}",
            "envelope": "json",
            "subscribe": ["chat:{path.room}-{path.desk}"],
            "actions": [
                {"key": "$connect", "hook": {"url": backend.url("connect"), "timeout_seconds": 5}},
                {"key": "$default", "publish": {"channel": "chat:{path.room}-{path.desk}"}},
            ],
        },
        {"name": "feed", "subscribe": ["feed:news"]},
        {"name": "two", "envelope": "json", "subscribe": ["chat:{query.a}", "feed:{query.b}", "open:{query.a}"]},
        {"name": "bare-two", "subscribe": ["chat:{query.a}", "feed:{query.b}"]},
        {"name": "personal", "subscribe": ["closed:{sub}", "closed:{meta.tenant}.all"], "token_cookie": "session"},
        {"name": "guarded", "subscribe": ["closed:{query.id}"]},
        {"name": "device", "subscribe": ["open:{header.x-device}"]},
        {
            "name": "talk",
            "subscribe": ["open:talk"],
            "actions": [
                {"key": "$connect", "hook": {"url": backend.url("connect"), "timeout_seconds": 5}},
                {"key": "$default", "hook": {"url": backend.url("message"), "timeout_seconds": 5}},
                {
                    "key": "$disconnect",
                    "hook": {"url": backend.url("disconnect"), "timeout_seconds": 5, "concurrency": 1},
                },
            ],
        },
        {
            "name": "strict",
            "subscribe": ["open:strict"],
            "selection": "/action",
            "actions": [
                {"key": "say", "publish": {"channel": "open:strict"}},
                {"key": "order", "publish": {"channel": "closed:{query.id}"}},
                {"key": "grant", "publish": {"channel": "closed:granted"}},
                {"key": "quote", "hook": hook},
            ],
            "limits": {"message_bytes": 1000, "messages_per_second": 20},
        },
    ]


@dataclass(frozen=True, slots=True)
class Site:
    """A running server and the backend."""

    server: ServerProcess
    backend: CloudEventsBackend

    def url(self, route: str, **query: str) -> str:
        """Return the URL of a route."""
        return f"ws://127.0.0.1:{self.server.client_port}/ws/{route}?{urlencode(query)}"

    def client(
        self, route: str, *, user: str = "alice", **query: str
    ) -> contextlib.AbstractAsyncContextManager[PlainClient]:
        """Open a connection with a token in the URL."""
        token = connection_token(TOKEN_SECRET, user)
        return opened(self.url(route, access_token=token, **query))

    async def publish(self, channel: str, data: JsonValue) -> tuple[int, str]:
        """Publish by the API."""
        async with self.server.api() as api:
            return await api.publish(channel, data)


class PlainClient:
    """Client of the `websockets` library."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: str | bytes | JsonObject) -> None:
        """Send a message; an object as JSON."""
        await self.connection.send(json.dumps(message) if isinstance(message, dict) else message)

    async def receive(self) -> str | bytes:
        """Return the next message."""
        return await asyncio.wait_for(self.connection.recv(), SECONDS)

    async def document(self) -> JsonObject:
        """Return the next message as a JSON object."""
        return parse(await self.receive())

    async def closed(self) -> tuple[int, str]:
        """Return code and reason with which the server closes; messages before are dropped."""
        with contextlib.suppress(ConnectionClosed):
            async with asyncio.timeout(SECONDS):
                while True:
                    await self.connection.recv()
        return self.connection.close_code or 0, self.connection.close_reason or ""


@contextlib.asynccontextmanager
async def opened(
    url: str, *, subprotocols: Sequence[str] = (), headers: dict[str, str] | None = None, compression: str | None = None
) -> AsyncIterator[PlainClient]:
    """Open a connection; it is closed after the body."""
    async with connect(
        url,
        subprotocols=[Subprotocol(one) for one in subprotocols] or None,
        additional_headers=headers,
        compression=compression,
        open_timeout=SECONDS,
        ping_interval=None,
        proxy=None,
    ) as connection:
        yield PlainClient(connection)
