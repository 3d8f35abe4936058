"""The backend of the application: who connects, and what its events mean."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from realtime_operator.api.base import JsonObject
from tests.component.socket_io.conftest import PROTOCOLS, SDKS, Sdk
from tests.kit.document import dig
from tests.kit.http_backend import HttpBackend
from tests.kit.server_process import ServerProcess
from tests.kit.socket_io import Refused, SocketOptions

pytestmark = pytest.mark.asyncio(loop_scope="module")


def on_connect(body: JsonObject) -> JsonObject:
    """Admit everybody with a name."""
    name = dig(body, "data", "name")
    if not name:
        return {"error": {"code": 1001, "message": "who are you?"}}
    return {"result": {"user": name, "channels": ["chat:all"]}}


def on_rpc(body: JsonObject) -> JsonObject:
    """Echo the arguments, or refuse."""
    if body["method"] == "refuse":
        return {"error": {"code": 1002, "message": "no"}}
    return {"result": {"data": body["data"]}}


@dataclass(frozen=True)
class Place:
    """Server with its backend."""

    server: ServerProcess
    backend: HttpBackend


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place() -> AsyncIterator[Place]:
    """Start a server that asks a backend."""
    async with HttpBackend({"connect": on_connect, "rpc": on_rpc}) as backend:
        hooks: JsonObject = {name: {"url": backend.url(name), "timeout_seconds": 5} for name in ("connect", "rpc")}
        async with ServerProcess("hooks", None, hooks=hooks, protocols=PROTOCOLS) as server:
            yield Place(server, backend)


@pytest.mark.parametrize("sdk", [SDKS[1], SDKS[3]], ids=lambda sdk: sdk.name)
async def test_the_backend_admits_clients_and_handles_their_events(place: Place, sdk: Sdk) -> None:
    """Its question has the data of CONNECT, and the arguments of an event with the name as method."""
    async with sdk(place.server, SocketOptions("/own", {"name": "ann"})) as client, place.server.api() as api:
        [record] = client.records
        await record.connected()
        await api.publish("chat:all", ["welcome"])
        await record.got(("welcome", []))
        assert await client.emit("subscribe", {"x": 1}, b"\x00\xff") == [{"x": 1}, {"b64data": "AP8="}]
        assert await client.emit("refuse") == [{"error": {"code": 1002, "message": "no"}}]
    asked = place.backend.bodies("connect")[-1]
    assert {name: asked[name] for name in ("protocol", "encoding", "transport")} == {
        "protocol": "socket.io", "encoding": "json", "transport": sdk.transports[0],
    }  # fmt: skip
    assert place.backend.bodies("rpc")[-1]["user"] == "ann"


@pytest.mark.parametrize("sdk", [SDKS[1], SDKS[3]], ids=lambda sdk: sdk.name)
async def test_the_backend_refuses_clients(place: Place, sdk: Sdk) -> None:
    """The client is told message and code."""
    async with sdk(place.server, SocketOptions("/chat")) as client:
        assert await client.records[0].was_refused() == Refused("who are you?", 1001)
