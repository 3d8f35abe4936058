"""Existing backends that emit over Redis: each client gets each event once, at whichever server it is."""

from __future__ import annotations

import contextlib
import pickle
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest
import pytest_asyncio
import socketio

from realtime_operator.api.base import JsonObject, JsonValue
from tests.component.socket_io.conftest import PROTOCOLS
from tests.kit.deadline import eventually
from tests.kit.document import object_at
from tests.kit.emitters import NodeEmitter
from tests.kit.redis_answer import fields
from tests.kit.redis_process import RedisProcess, running_redis
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.socket_io import JavaScriptSocketIo, SocketOptions, SocketRecord
from tests.kit.tokens import connection_token

pytestmark = pytest.mark.asyncio(loop_scope="module")
EMITTERS: JsonObject = {"redis_emitter": {}, "redis_streams": {}, "python_socketio": {}}
WITH_EMITTERS: JsonObject = {"socket_io": {**object_at(PROTOCOLS, "socket_io"), "emitters": EMITTERS}}
KINDS = ("emitter", "streams")


@dataclass
class Stage:
    """Two servers, and a client at each; both clients have a socket in `/` and one in `/chat`."""

    redis: RedisProcess
    servers: Sequence[ServerProcess]
    clients: Sequence[JavaScriptSocketIo]

    def records(self, socket: int) -> list[SocketRecord]:
        """Return what happened to the sockets of one namespace at both servers."""
        return [client.records[socket] for client in self.clients]


@contextlib.asynccontextmanager
async def clients_of(servers: Sequence[ServerProcess]) -> AsyncIterator[Sequence[JavaScriptSocketIo]]:
    """Connect a client to each server: the first one is in the room `one`, the second one in `two`, both in `both`."""
    async with contextlib.AsyncExitStack() as stack:
        clients = []
        for server, own in zip(servers, ("one", "two"), strict=True):
            token = connection_token(TOKEN_SECRET, own, channels=[f"chat:{own}", "chat:both"])
            sockets = [SocketOptions("/", {"token": token}), SocketOptions("/chat", {"token": token})]
            url = f"http://127.0.0.1:{server.client_port}"
            client = await stack.enter_async_context(JavaScriptSocketIo(url, ["websocket"], sockets))
            clients.append(client)
        for client in clients:
            for record in client.records:
                await record.connected()
        yield clients


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    """Start a Redis and two servers, the second one with two workers."""
    with running_redis() as redis:
        async with (
            ServerProcess("a", redis, protocols=WITH_EMITTERS) as one,
            ServerProcess("b", redis, protocols=WITH_EMITTERS, workers=2) as other,
            clients_of((one, other)) as clients,
        ):
            yield Stage(redis, (one, other), clients)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=KINDS)
async def emitter(stage: Stage, request: pytest.FixtureRequest) -> AsyncIterator[NodeEmitter]:
    """Start a backend of each kind in turn."""
    async with NodeEmitter(request.param, [stage.redis.url]) as started:
        yield started


async def got(records: Sequence[SocketRecord], *events: tuple[str, list[object]]) -> None:
    """Wait until sockets have got the events, and nothing else."""
    for record in records:
        await record.got(*events)


async def test_every_client_gets_an_event_once(stage: Stage, emitter: NodeEmitter) -> None:
    """In the order in which it is emitted."""
    for number in range(50):
        await emitter.emit("count", number, {"a": None}, namespace="/chat")
    await emitter.emit("root", {"date": 0})
    await got(stage.records(1), *(("count", [number, {"a": None}]) for number in range(50)))
    await got(stage.records(0), ("root", ["1970-01-01T00:00:00.000Z"]))


async def test_rooms_and_exceptions_select_sockets(stage: Stage, emitter: NodeEmitter) -> None:
    """A socket in several rooms gets an event once; the id of a socket is a room."""
    one, two = stage.records(1)
    await emitter.emit("a", namespace="/chat", to=["one"])
    await emitter.emit("b", namespace="/chat", to=["one", "two", "both"])
    await emitter.emit("c", namespace="/chat", excluded=["one"])
    await emitter.emit("d", namespace="/chat", to=["both"], excluded=["two"])
    await emitter.emit("e", namespace="/chat", to=[one.ids[-1]])
    await emitter.emit("f", namespace="/chat", to=["nobody"])
    await emitter.emit("g", namespace="/chat", volatile=True)
    await one.got(("a", []), ("b", []), ("d", []), ("e", []), ("g", []))
    await two.got(("b", []), ("c", []), ("g", []))
    assert [record.events for record in stage.records(0)] == [[], []]


async def test_binary_data_arrives_as_such(stage: Stage, emitter: NodeEmitter) -> None:
    data: JsonValue = {"base64": "AAH/"}
    await emitter.emit("binary", data, {"inner": [data, "text"]}, namespace="/chat")
    await got(stage.records(1), ("binary", [b"\0\1\xff", {"inner": [b"\0\1\xff", "text"]}]))


async def test_sockets_join_and_leave_rooms(stage: Stage, emitter: NodeEmitter) -> None:
    """What is emitted after it finds them in the room, or not any more."""
    both, one = stage.records(1), stage.records(1)[0]
    await emitter.do("socketsJoin", ["new", "newer"], namespace="/chat", to=["both"])
    await emitter.emit("joined", namespace="/chat", to=["new"])
    await emitter.do("socketsLeave", "new", namespace="/chat", excluded=["one"])
    await emitter.emit("left", namespace="/chat", to=["new"])
    await emitter.do("socketsLeave", ["new", "newer"], namespace="/chat")
    await emitter.emit("nobody", namespace="/chat", to=["new", "newer"])
    await emitter.do("serverSideEmit", "for servers", 1, namespace="/chat")
    await emitter.emit("end", namespace="/chat")
    await one.got(("joined", []), ("left", []), ("end", []))
    await both[1].got(("joined", []), ("end", []))


async def test_sockets_are_disconnected(stage: Stage, emitter: NodeEmitter) -> None:
    """For good, with the others of their connections or alone."""
    async with clients_of(stage.servers) as (one, two):
        await emitter.do("disconnectSockets", namespace="/chat", to=[one.records[1].ids[0]])
        await emitter.do("disconnectSockets", True, namespace="/chat", to=[two.records[1].ids[0]])
        await one.records[1].ended()
        for record in two.records:
            await record.ended()
        await emitter.emit("end")
        await one.records[0].got(("end", []))
        assert one.records[1].ends == ["io server disconnect"]
    await got(stage.records(0), ("end", []))


async def test_python_backends_are_understood(stage: Stage) -> None:
    """With binary data, several arguments, several rooms and sockets that are left out."""
    one, two = stage.records(1)
    manager = socketio.AsyncRedisManager(stage.redis.url, write_only=True)
    for number in range(5):
        await manager.emit("count", number, namespace="/chat")
    await manager.emit("room", {"a": 1}, namespace="/chat", room="one")
    await manager.emit("several", ("x", b"\0", [1]), namespace="/chat", to=["one", "two"], skip_sid=two.ids[-1])
    await manager.emit("none", None, namespace="/chat")
    counted: list[tuple[str, list[object]]] = [("count", [number]) for number in range(5)]
    await one.got(*counted, ("room", [{"a": 1}]), ("several", ["x", b"\0", [1]]), ("none", []))
    await two.got(*counted, ("none", []))
    await manager.redis.aclose()


async def test_what_is_refused_is_counted_and_harms_nothing(stage: Stage) -> None:
    """A pickle is not read, a large message not sent, and a name at which clients break off neither."""
    redis = stage.redis
    redis.ask("PUBLISH", "socketio", pickle.dumps({"method": "emit", "event": "x", "data": 1}))
    redis.ask("PUBLISH", "socket.io#/chat#", b"\xc1")
    redis.ask("XADD", "socket.io", "*", "nsp", "/chat", "type", "3", "data", "{")
    redis.ask("XADD", "socket.io", "*", "nsp", "/other", "type", "3", "data", '{"packet":{"type":2,"data":["x"]}}')
    redis.ask("PUBLISH", "socketio", '{"method":"emit","event":"disconnect","namespace":"/chat"}')
    redis.ask("PUBLISH", "socketio", b'{"method":"emit","event":"x","data":"%b"}' % (b"x" * 5_000_000))
    redis.ask("PUBLISH", "socketio", '{"method":"emit","event":"end","namespace":"/chat"}')
    await got(stage.records(1), ("end", []))
    expected = {
        ("python_socketio", "pickled"), ("redis_emitter", "bad_msgpack"), ("redis_streams", "bad_json"),
        ("redis_streams", "unknown_namespace"), ("python_socketio", "reserved_event"), ("python_socketio", "too_large"),
    }  # fmt: skip
    for server in stage.servers:
        metrics = await server.metrics()
        for kind, reason in expected:
            assert f'realtime_server_emitter_refused_total{{format="{kind}",reason="{reason}",worker="0"}} ' in metrics


async def test_nothing_is_read_unless_it_is_on(stage: Stage) -> None:
    """A server without emitters has two links, as ever, and no metric for them."""
    patterns, clients = stage.redis.ask("PUBSUB", "NUMPAT"), connections_to(stage.redis)
    async with ServerProcess("c", stage.redis, protocols=PROTOCOLS) as server:
        assert "emitter" not in await server.metrics()
        assert stage.redis.ask("PUBSUB", "NUMPAT") == patterns
        assert connections_to(stage.redis) == clients + 2


def connections_to(redis: RedisProcess) -> int:
    """Return the number of connections of clients."""
    return int(fields(redis.ask("INFO", "clients"))["connected_clients"])


async def test_emitters_go_on_after_a_killed_redis(stage: Stage) -> None:
    """What is added to the stream as soon as it is back arrives, once; messages do when the servers listen again."""
    urls = [stage.redis.url]
    async with NodeEmitter("streams", urls) as streams, NodeEmitter("emitter", urls) as emitter:
        await streams.emit("before", namespace="/chat")
        await got(stage.records(1), ("before", []))
        stage.redis.stop()
        stage.redis.start()
        for number in range(5):
            await streams.emit("after", number, namespace="/chat")
        after: list[tuple[str, list[object]]] = [("after", [number]) for number in range(5)]
        await got(stage.records(1), *after)
        for server in stage.servers:
            await eventually(server.metrics, listens, what="emitters connected", within=15, every=0.05)
        await emitter.emit("published", namespace="/chat")
        await got(stage.records(1), ("published", []))


def listens(metrics: str) -> bool:
    """Return True when all workers of a server are connected to what emitters write to."""
    found = re.findall(r"^realtime_server_emitters_connected\{.*\} (.*)$", metrics, re.MULTILINE)
    return bool(found) and set(found) == {"1.0"}
