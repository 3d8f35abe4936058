"""Methods of the server API for sockets of Socket.IO, on a real node with the memory backplane."""

from __future__ import annotations

import asyncio
import json
import re

import msgspec
import pytest

from realtime_server import codes
from realtime_server.admin.api_handlers import METHODS, ApiHandlers
from realtime_server.codes import ErrorCode
from realtime_server.core.model.errors import CommandError
from realtime_server.core.server_api import ServerApi
from tests.kit.server_doubles import SECRET
from tests.kit.tokens import connection_token
from tests.unit.realtime_server.socket_io.world import Client, World, settle

TOKEN = connection_token(SECRET, "ann", info={"name": "Ann"})
DATA_BYTES = 1000


class Backend:
    """Backend of a world with a client in `/`."""

    def __init__(self, world: World, client: Client, sid: str) -> None:
        self.client = client
        self.sid = sid
        self._handlers = ApiHandlers(ServerApi(world.node), DATA_BYTES, world.server.cluster)

    async def call(self, method: str, **params: object) -> object:
        """Return the result of a call. Raises CommandError."""
        answer = await METHODS[method].answer(self._handlers, json.dumps(params).encode())
        await settle()
        return json.loads(msgspec.json.encode(answer))


@pytest.fixture
async def backend() -> Backend:
    """Start a node."""
    world = World()
    await world.node.start()
    client = world.open()
    return Backend(world, client, await client.connect(auth={"token": TOKEN}))


async def test_an_event_has_any_arguments(backend: Backend) -> None:
    """Numbers, names and nesting arrive as they were sent."""
    assert await backend.call("emit", event="ä", args=[1, 1.5, None, {"x": ["y"]}, {"b64data": "AA=="}]) == {}
    placed = '{"_placeholder":true,"num":0}'
    assert backend.client.take() == [f'451-["ä",1,1.5,null,{{"x":["y"]}},{placed}]', b"\x00"]
    assert await backend.call("emit", event="x", rooms=[backend.sid], volatile=True) == {}
    assert await backend.call("emit", event="y", **{"except": [backend.sid]}) == {}
    assert backend.client.take() == ['42["x"]']


async def test_acknowledgements_are_the_answer(backend: Backend) -> None:
    assert await backend.call("emit", event="x", ack_timeout=0.01) == {
        "acks": [], "unanswered": [backend.sid], "complete": True,
    }  # fmt: skip
    backend.client.take()
    calling = asyncio.create_task(backend.call("emit", event="x", ack_timeout=60))
    await settle()
    found = re.match("42([0-9]+)", str(backend.client.take()[0]))
    assert found is not None
    backend.client.text(f'43{found[1]}["pong",1.0]')
    acks = [{"client": backend.sid, "data": ["pong", 1.0]}]
    assert await calling == {"acks": acks, "unanswered": [], "complete": True}


async def test_sockets_join_and_are_listed_and_disconnected(backend: Backend) -> None:
    rooms = ["open:b", "open:a"]
    assert await backend.call("join", rooms=[backend.sid], join=rooms) == {"num_sockets": 1}
    described = {
        "client": backend.sid, "user": "ann", "rooms": sorted(rooms), "transport": "websocket",
        "conn_info": {"name": "Ann"},
    }  # fmt: skip
    assert await backend.call("sockets", rooms=["open:a"]) == {"sockets": [described], "num_sockets": 1}
    assert await backend.call("leave", leave=["open:a"]) == {"num_sockets": 1}
    assert await backend.call("sockets", rooms=["open:a"]) == {"sockets": [], "num_sockets": 0}
    spared = await backend.call("disconnect", namespace="/", whitelist=[backend.sid])
    assert (spared, backend.client.take()) == ({}, [])
    assert await backend.call("disconnect", namespace="/", rooms=["open:b"]) == {}
    assert backend.client.take() == ["41"]


async def test_a_code_after_which_clients_come_back_closes_the_connection(backend: Backend) -> None:
    """With the reason of the code, if there is none in the call."""
    await backend.call("disconnect", namespace="/", disconnect={"code": codes.FORCE_RECONNECT.code})
    assert backend.client.closed_by == codes.FORCE_RECONNECT


@pytest.mark.parametrize(
    ("method", "params", "error", "why"),
    [
        ("emit", {"event": "disconnect"}, codes.BAD_REQUEST, "none of connect, "),
        ("emit", {"event": "x", "args": [{"b64data": "%"}]}, codes.BAD_REQUEST, "args[0]: b64data is base64"),
        ("emit", {"event": "x", "args": [{"b64data": ""}] * 11}, codes.LIMIT_EXCEEDED, "at most 10"),
        ("emit", {"event": "x", "args": ["y" * DATA_BYTES]}, codes.LIMIT_EXCEEDED, "more than 1000"),
        ("emit", {"event": "x", "volatile": True, "ack_timeout": 1}, codes.BAD_REQUEST, "one of them"),
        ("emit", {"event": "x", "namespace": "/none"}, codes.BAD_REQUEST, "/chat"),
        ("join", {"join": ["nowhere:a"]}, codes.UNKNOWN_CHANNEL, "not defined"),
    ],
)  # fmt: skip
async def test_what_cannot_be_done_is_refused(
    backend: Backend, method: str, params: dict[str, object], error: ErrorCode, why: str
) -> None:
    """The error says what would be right; no client gets anything."""
    with pytest.raises(CommandError) as refused:
        await backend.call(method, **params)
    assert refused.value.error is error
    assert why in refused.value.why
    assert backend.client.take() == []


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("emit", {"event": "x"}),
        ("join", {"join": ["a"]}),
        ("leave", {"leave": ["a"]}),
        ("sockets", {}),
        ("disconnect", {"namespace": "/"}),
    ],
)
async def test_without_the_protocol_there_are_no_sockets(method: str, params: dict[str, object]) -> None:
    handlers = ApiHandlers(ServerApi(World().node), DATA_BYTES)
    with pytest.raises(CommandError) as refused:
        await METHODS[method].answer(handlers, json.dumps(params).encode())
    assert (refused.value.error, refused.value.why) == (codes.NOT_AVAILABLE, "Socket.IO is off")
