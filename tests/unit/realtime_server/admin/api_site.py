"""Server API of a real node with the memory backplane, on loopback."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from realtime_server.admin.api_keys import ApiKeys
from realtime_server.admin.api_server import ApiServer
from realtime_server.api_settings import ApiKey
from realtime_server.app import make_node
from realtime_server.core.node import Node
from realtime_server.core.server_api import ServerApi
from realtime_server.namespace_settings import History, Namespace
from realtime_server.settings import Api, Settings
from tests.kit.server_doubles import Clock

KEY = "the-key"
LIMITED_KEY = "the-key-of-the-shop"
DATA_BYTES = 1000
VERSION = "version: without history there is nothing to compare it with"


@dataclass
class Site:
    """API under test, and the publications of its node."""

    server: ApiServer
    node: Node
    address: str
    session: aiohttp.ClientSession
    clock: Clock

    async def post(self, method: str, body: bytes | str, **headers: str) -> tuple[int, bytes]:
        """Send a call with exactly this body and these headers."""
        async with self.session.post(f"{self.address}/api/{method}", data=body, headers=headers) as response:
            return response.status, await response.read()

    async def call(self, method: str, **params: object) -> object:
        """Send a call with the key, and return the answer."""
        status, body = await self.post(method, json.dumps(params), **{"X-API-Key": KEY})
        assert status == 200, body
        return json.loads(body)

    async def history(self, channel: str) -> list[bytes]:
        """Return the channel's history in the form that clients receive."""
        status, body = await self.post("history", json.dumps({"channel": channel, "limit": -1}), **{"X-API-Key": KEY})
        assert status == 200
        return [json.dumps(publication["data"]).encode() for publication in json.loads(body)["result"]["publications"]]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    """Start the API with a key."""
    (tmp_path / "key").write_text(f"{KEY}\n")
    (tmp_path / "limited").write_text(LIMITED_KEY)
    keys = (
        ApiKey(
            name="shop", file=tmp_path / "limited", methods=("publish", "broadcast", "info"), channels=("chat:*",),
            calls_per_second=3,
        ),
    )  # fmt: skip
    settings = Settings(
        namespaces=(
            Namespace(name="chat", history=History(size=5), presence=True),
            Namespace(name="plain"),
        ),
        api=Api(key_file=tmp_path / "key", keys=keys),
    )
    clock = Clock()
    node = make_node(settings)
    await node.broker.start(node)
    server = ApiServer(ServerApi(node), ApiKeys.of(settings.api, clock=clock), data_bytes=DATA_BYTES, clock=clock)
    runner = web.AppRunner(server.application())
    await runner.setup()
    listener = web.TCPSite(runner, "127.0.0.1", 0)
    await listener.start()
    address = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as session:
        yield Site(server, node, address, session, clock)
    await runner.cleanup()
    await node.broker.stop()


def error(code: int, message: str) -> object:
    """Return the error answer with this code."""
    return {"error": {"code": code, "message": message}}
