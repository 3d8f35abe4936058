"""Backends and the sockets of two servers, with the stock clients: events, acknowledgements, rooms.

Whatever the reference has too is compared with what it did: `emit`, `timeout(...).emitWithAck`, `socketsJoin`,
`socketsLeave`, `disconnectSockets` and `fetchSockets` of `io.in(rooms).except(rooms)`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
import uuid
from base64 import b64decode
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import ANY

import pytest
import pytest_asyncio

from realtime_operator.api.base import JsonObject, JsonValue
from tests.component.socket_io.conftest import http_url
from tests.component.supervisor.processes import children_of
from tests.kit.api import ServerApi
from tests.kit.document import dig, object_at, objects_at, parse, text_at
from tests.kit.redis_process import running_redis
from tests.kit.server_process import NAMESPACES, TOKEN_SECRET, ServerProcess
from tests.kit.socket_io import JavaScriptSocketIo, PythonSocketIo, SocketIoClient, SocketOptions, SocketRecord
from tests.kit.tokens import connection_token

pytestmark = pytest.mark.asyncio(loop_scope="module")
PROTOCOLS: JsonObject = {
    "socket_io": {
        "enabled": True,
        "namespaces": [{"name": "/"}, {"name": "/story"}, {"name": "/rooms", "channel_namespace": "rooms"}],
    }
}
ROOMS: JsonObject = {
    "name": "rooms",
    "history": {"size": 100, "ttl_seconds": 300},
    "recovery": True,
    "ordered": True,
}
RECORDED = Path(__file__).parents[2] / "fixtures" / "socket_io" / "emitting.json"
BYTES: JsonValue = {"b64data": "AP8="}
CLIENTS = (
    (JavaScriptSocketIo, ["websocket"], 0),
    (JavaScriptSocketIo, ["polling"], 1),
    (PythonSocketIo, ["websocket"], 1),
    (PythonSocketIo, ["polling"], 0),
)
"""Stock clients, their transports, and their servers."""


@dataclass
class Cluster:
    """Two servers with a Redis."""

    servers: Sequence[ServerProcess]
    api: ServerApi

    async def emit(
        self, event: str, *args: JsonValue, excluded: Sequence[JsonValue] = (), **more: JsonValue
    ) -> JsonObject:
        """Emit to `/`, but for the sockets in the rooms that are `excluded`."""
        more["except"] = [*excluded]
        return await self.api.call("emit", event=event, args=[*args], **more)

    async def sockets(self, **more: JsonValue) -> list[JsonObject]:
        """Return the sockets."""
        return objects_at(await self.api.call("sockets", **more), "sockets")


@dataclass
class Fleet:
    """Connected clients of several users, `a` and so on; each is at one of two servers."""

    clients: list[SocketIoClient]
    records: list[SocketRecord]

    @property
    def ids(self) -> list[str]:
        """Ids of their sockets."""
        return [record.ids[-1] for record in self.records]

    async def all_got(self, *events: tuple[str, list[object]]) -> None:
        """Wait until all have got exactly these events, and forget them."""
        for record in self.records:
            await record.got(*events)


def lists_at(document: JsonObject, field: str) -> list[list[JsonValue]]:
    """Return a list of lists."""
    found = document[field]
    assert isinstance(found, list)
    return [each for each in found if isinstance(each, list)]


def texts_at(document: JsonObject, field: str) -> list[str]:
    """Return a list of strings."""
    found = document[field]
    assert isinstance(found, list)
    return [str(each) for each in found]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[Cluster]:
    """Start two servers."""
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(running_redis())
        servers = [
            await stack.enter_async_context(
                ServerProcess(name, redis, protocols=PROTOCOLS, namespaces=[*NAMESPACES, ROOMS])
            )
            for name in ("one", "other")
        ]
        api = await stack.enter_async_context(servers[0].api())
        yield Cluster(servers, api)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def fleet(cluster: Cluster) -> AsyncIterator[Fleet]:
    """Connect one of each of the clients."""
    async with AsyncExitStack() as stack:
        clients: list[SocketIoClient] = []
        for user, (make, transports, server) in zip("abcd", CLIENTS, strict=True):
            options = SocketOptions("/", {"token": connection_token(TOKEN_SECRET, user)})
            client = make(http_url(cluster.servers[server]), transports, [options])
            clients.append(await stack.enter_async_context(client))
        records = [client.records[0] for client in clients]
        for record in records:
            await record.connected()
        yield Fleet(clients, records)


async def test_an_event_reaches_every_client(cluster: Cluster, fleet: Fleet) -> None:
    """With the arguments that it was sent with, on every transport, in the order of the calls."""
    await cluster.emit("first", {"ä": [1, None]}, "two", BYTES)
    await cluster.emit("second")
    await cluster.emit("third", [BYTES], volatile=True)
    binary = b"\x00\xff"
    await fleet.all_got(("first", [{"ä": [1, None]}, "two", binary]), ("second", []), ("third", [[binary]]))


def with_bytes(value: JsonValue) -> object:
    """Return a value whose binary data is in the form that clients have it in."""
    if isinstance(value, list):
        return [with_bytes(each) for each in value]
    if isinstance(value, dict):
        encoded = value.get("b64data")
        return {name: with_bytes(each) for name, each in value.items()} if encoded is None else b64decode(str(encoded))
    return value


class Story:
    """Steps of a backend in the namespace `/story`, which the reference's program has made too.

    `ids`: those of the sockets, by what stands for them in the steps.
    """

    def __init__(self, api: ServerApi, ids: Mapping[str, str]) -> None:
        self._api = api
        self._ids = ids
        self._names = {client: name for name, client in ids.items()}

    async def answer_to(self, step: JsonObject) -> JsonValue:
        """Do a step; return what the reference's program would be told."""
        params = {name: value for name, value in step.items() if name not in {"do", "seconds"}}
        for name in {"rooms", "except"} & params.keys():
            params[name] = [self._ids.get(room, room) for room in texts_at(step, name)]
        if "seconds" in step:
            params["ack_timeout"] = step["seconds"]
        answer = await self._api.call(text_at(step, "do"), namespace="/story", **params)
        if "sockets" in answer:
            found = [
                {"client": self._names[text_at(each, "client")], "rooms": each["rooms"]}
                for each in objects_at(answer, "sockets")
            ]
            return [*sorted(found, key=lambda each: str(each["client"]))]
        if "acks" in answer:
            is_whole = not answer["unanswered"] and answer["complete"] is True
            return {"acks": [dig(ack, "data", 0) for ack in objects_at(answer, "acks")], "all": is_whole}
        return None


async def test_a_story_goes_as_with_the_reference(cluster: Cluster) -> None:
    """Its clients are on two servers here, on every transport; it is recorded by record_emitting.cjs."""
    recorded = parse(RECORDED.read_bytes())
    one, other = map(http_url, cluster.servers)
    story, rooms = (
        SocketOptions(name, {"token": connection_token(TOKEN_SECRET, "ann")}) for name in ("/story", "/rooms")
    )
    async with AsyncExitStack() as stack:
        clients = {
            "a": JavaScriptSocketIo(one, ["websocket"], [story]),
            "b": JavaScriptSocketIo(other, ["polling"], [story]),
            "c": JavaScriptSocketIo(other, ["websocket"], [story]),
            "d": JavaScriptSocketIo(one, ["polling", "websocket"], [story, rooms]),
        }
        for client in clients.values():
            await stack.enter_async_context(client)
            for record in client.records:
                await record.connected()
        told = Story(cluster.api, {f"${name}": client.records[0].ids[0] for name, client in clients.items()})
        answers = [await told.answer_to(step) for step in objects_at(recorded, "steps")]
        assert answers == recorded["answers"]
        found = {**{name: client.records[0] for name, client in clients.items()}, "d/rooms": clients["d"].records[1]}
        for name, record in found.items():
            expected = object_at(recorded, "clients", name)
            events = [(str(dig(event, 0)), [*map(with_bytes, event[1:])]) for event in lists_at(expected, "events")]
            await record.got(*events)
            assert record.ends == expected["ends"]


async def test_acknowledgements_of_all_clients_are_collected(cluster: Cluster, fleet: Fleet) -> None:
    """Binary ones too; the call is answered when the last one is there."""
    began = time.monotonic()
    answer = await cluster.emit("ask", "why", BYTES, ack_timeout=10)
    assert time.monotonic() - began < 5
    acks = {text_at(ack, "client"): ack["data"] for ack in objects_at(answer, "acks")}
    assert acks == {client: ["why", BYTES] for client in fleet.ids}
    assert (answer["unanswered"], answer["complete"]) == ([], True)
    await fleet.all_got(("ask", ["why", b"\x00\xff"]))


async def test_who_does_not_answer_is_named(cluster: Cluster, fleet: Fleet) -> None:
    """The clients of npm have no handler that answers this event, the others do."""
    answer = await cluster.emit("silent", ack_timeout=0.3)
    a, b, c, d = fleet.ids
    assert {text_at(ack, "client") for ack in objects_at(answer, "acks")} == {c, d}
    assert {*texts_at(answer, "unanswered")} == {a, b}
    assert answer["complete"] is True
    await fleet.all_got(("silent", []))


async def test_sockets_are_listed_with_user_rooms_and_transport(cluster: Cluster, fleet: Fleet) -> None:
    """Page by page."""
    room = f"open:{uuid.uuid4().hex}"
    await cluster.api.call("join", join=[room])
    transports = [transports[0] for _, transports, _ in CLIENTS]
    expected = [
        {"client": client, "user": user, "rooms": [room], "transport": transport}
        for client, user, transport in sorted(zip(fleet.ids, "abcd", transports, strict=True))
    ]
    assert await cluster.sockets(rooms=[room]) == expected
    found: list[JsonObject] = []
    page: JsonObject = {}
    while not found or "next" in page:
        page = await cluster.api.call("sockets", rooms=[room], limit=3, after=page.get("next", ""))
        assert page["num_sockets"] == 4
        found += objects_at(page, "sockets")
    assert found == expected
    await cluster.api.call("leave", leave=[room])
    assert await cluster.sockets(rooms=[room]) == []


async def test_a_client_that_leaves_is_not_waited_for(cluster: Cluster) -> None:
    """Nor one that the backend disconnects, which does not come back."""
    options = SocketOptions("/", {"token": connection_token(TOKEN_SECRET, "eve")})
    urls = [http_url(server) for server in cluster.servers]
    async with (
        JavaScriptSocketIo(urls[1], ["websocket"], [options]) as one,
        JavaScriptSocketIo(urls[0], ["polling"], [options]) as other,
    ):
        records = [one.records[0], other.records[0]]
        for record in records:
            await record.connected()
        ids: list[JsonValue] = [record.ids[0] for record in records]
        asking = asyncio.create_task(cluster.emit("silent", rooms=ids, ack_timeout=14))
        for record in records:
            await record.got(("silent", []))
        began = time.monotonic()
        await one.disconnect()
        await cluster.api.call("disconnect", namespace="/", rooms=ids[1:])
        answer = await asking
        assert time.monotonic() - began < 5
        assert (answer["acks"], answer["complete"]) == ([], True)
        assert sorted(texts_at(answer, "unanswered")) == sorted(map(str, ids))
        await records[1].ended()
        assert records[1].ends == ["io server disconnect"]


async def test_in_a_namespace_that_recovers(cluster: Cluster) -> None:
    """An event has null at its end; a client keeps its position, and comes back with the rooms of the backend."""
    options = SocketOptions("/rooms", {"token": connection_token(TOKEN_SECRET, "rob", channels=["rooms:a"])})
    async with JavaScriptSocketIo(http_url(cluster.servers[1]), ["websocket"], [options]) as client:
        [record] = client.records
        await record.connected()
        await cluster.api.publish("rooms:a", ["x"])
        await record.got(("x", [ANY]))
        before = await client.claimed()
        assert await cluster.api.call("join", namespace="/rooms", join=["b"]) == {"num_sockets": 1}
        await cluster.emit("y", "1-1", namespace="/rooms", rooms=["b"])
        answer = await cluster.emit("z", "1-1", namespace="/rooms", ack_timeout=10)
        assert objects_at(answer, "acks") == [{"client": record.ids[0], "data": ["1-1"]}]
        await record.got(("y", ["1-1", None]), ("z", ["1-1"]))
        assert await client.claimed() == before
        await client.cut()
        await cluster.api.publish("rooms:b", ["missed"])
        await record.connected(2)
        await record.got(("missed", [ANY]))
        assert record.recovered == [False, True]
        assert record.ids[0] == record.ids[1]


async def test_a_server_that_dies_is_told_apart(cluster: Cluster, fleet: Fleet) -> None:
    """The answer has what the others have acknowledged. It is the last test: it leaves one server."""
    victim = cluster.servers[1]
    asking = asyncio.create_task(cluster.emit("silent", ack_timeout=0.5))
    for record in fleet.records:
        await record.got(("silent", []))
    assert victim.process is not None
    for pid in (victim.process.pid, *children_of(victim.process.pid)):
        os.kill(pid, signal.SIGKILL)
    answer = await asking
    assert answer["complete"] is False
    assert [ack["client"] for ack in objects_at(answer, "acks")] == [fleet.ids[3]]
    assert answer["unanswered"] == [fleet.ids[0]]
