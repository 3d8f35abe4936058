"""Socket.IO's clients for Java and Go: what those of every build are tested for, on each transport."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

import pytest
import pytest_asyncio

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.balancer import Balancer
from tests.kit.deadline import eventually
from tests.kit.document import objects_at
from tests.kit.redis_process import RedisProcess
from tests.kit.request_balancer import RequestBalancer
from tests.kit.sdk_programs import SOCKET_IO_PROGRAMS
from tests.kit.server_process import NAMESPACES, TOKEN_SECRET, ServerProcess
from tests.kit.socket_io import ProgramSocketIo, Refused, SocketOptions
from tests.kit.tokens import connection_token

pytestmark = pytest.mark.asyncio(loop_scope="module")
PROTOCOLS: JsonObject = {
    "socket_io": {
        "enabled": True,
        "namespaces": [
            {"name": "/"},
            {"name": "/chat", "channel_namespace": "chat"},
            {"name": "/rooms", "channel_namespace": "rooms"},
        ],
    }
}
ROOMS: JsonObject = {
    "name": "rooms",
    "history": {"size": 1000, "ttl_seconds": 300},
    "recovery": True,
    "ordered": True,
    "publish": "subscribers",
    "subscribe": "anyone",
}
PATIENCE = 40.0
"""Seconds to connect: the client for Go seldom fails to send its CONNECT, and tries again after 20 s."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def servers(redis: RedisProcess) -> AsyncIterator[tuple[ServerProcess, ServerProcess]]:
    """Start two servers of a cluster."""
    namespaces: list[JsonValue] = [*NAMESPACES, ROOMS]
    async with (
        ServerProcess("a", redis, protocols=PROTOCOLS, namespaces=namespaces) as one,
        ServerProcess("b", redis, protocols=PROTOCOLS, namespaces=namespaces) as other,
    ):
        yield one, other


@dataclass(frozen=True)
class Sdk:
    """Client of one language with some transports."""

    language: str
    transports: Sequence[str]

    def __str__(self) -> str:
        """Return the name in tests."""
        return "-".join((self.language, *self.transports))

    def __call__(self, port: int, *sockets: SocketOptions) -> ProgramSocketIo:
        """Return a client of what listens on a port."""
        program = SOCKET_IO_PROGRAMS[self.language]
        program.install()
        return ProgramSocketIo(program.command, f"http://127.0.0.1:{port}", self.transports, sockets)


# The client for Go sends nothing while a poll waits, which is until the server has something for it.
SDKS = [
    Sdk(language, transports)
    for language in SOCKET_IO_PROGRAMS
    for transports in (["websocket"], ["polling"], ["polling", "websocket"])
    if (language, transports) != ("go", ["polling"])
]
POLLING = [sdk for sdk in SDKS if sdk.transports[0] == "polling"]


@pytest.fixture(params=SDKS, ids=str)
def client_of(request: pytest.FixtureRequest) -> Sdk:
    """Return each client in turn, with each transport."""
    found: Sdk = request.param
    return found


def socket(namespace: str = "/chat", *channels: str) -> SocketOptions:
    """Return a socket that connects with a token, and is in channels from the beginning."""
    return SocketOptions(namespace, {"token": connection_token(TOKEN_SECRET, "ann", channels=[*channels])})


async def on_last_transport(client: ProgramSocketIo, sdk: Sdk) -> None:
    """Wait until a client has upgraded, if it does."""
    last = sdk.transports[-1]
    await eventually(client.transport, lambda name: name == last, what=f"the transport {last}", within=15, every=0.05)


async def test_events_rooms_and_binary_data(servers: tuple[ServerProcess, ServerProcess], client_of: Sdk) -> None:
    """Two sockets with their own auth, rooms, events with their acknowledgements, and binary data."""
    server, _ = servers
    room = uuid.uuid4().hex
    async with client_of(server.client_port, socket(), socket("/")) as client, server.api() as api:
        chat, root = client.records
        await chat.connected(within=PATIENCE)
        await root.connected(within=PATIENCE)
        [joined] = await client.emit("subscribe", room)
        assert isinstance(joined, dict)
        assert joined.keys() == {"offset", "epoch"}
        assert await client.emit("subscribe", f"open:{room}", socket=1) == [{}]
        assert await client.emit("publish", room, "greet", {"ä": [1, None]}, "two") == [{}]
        await chat.got(("greet", [{"ä": [1, None]}, "two"]))
        await client.send("publish", room, "message", b"\x00\xff")
        await chat.got(("message", [b"\x00\xff"]))
        await on_last_transport(client, client_of)
        await api.publish(f"open:{room}", ["from", "the", "API"])
        await root.got(("from", ["the", "API"]))
        answer = await api.call(
            "emit", namespace="/", rooms=[root.ids[-1]], event="ask", args=["why", 1], ack_timeout=10
        )
        assert [ack["data"] for ack in objects_at(answer, "acks")] == [["why", 1]]
        await root.got(("ask", ["why", 1]))
        assert code_of(await client.emit("nobody", 1)) == 108
        assert code_of(await client.emit("publish", room, "x" * 100_000)) == 106
        await client.disconnect()
        await chat.ended()
        assert chat.ends[-1] == "io client disconnect"


REFUSED = (
    (SocketOptions("/chat", {"token": "none"}), Refused("invalid token", 3500)),
    (SocketOptions("/none"), Refused("Invalid namespace", None)),
)


@pytest.mark.parametrize(("options", "refusal"), REFUSED, ids=["token", "namespace"])
async def test_a_refused_client_is_told_why(
    servers: tuple[ServerProcess, ServerProcess], client_of: Sdk, options: SocketOptions, refusal: Refused
) -> None:
    """Message and code, and it does not come back. The client for Go knows no refusal without data."""
    server, _ = servers
    async with client_of(server.client_port, options) as client:
        [record] = client.records
        expected = replace(refusal, message="missing 'data' field") if needs_data(client_of, refusal) else refusal
        assert await record.was_refused(within=PATIENCE) == expected
        assert not record.ids


def needs_data(sdk: Sdk, refusal: Refused) -> bool:
    """Return True when a client says so, in place of the message of a refusal."""
    return sdk.language == "go" and refusal.code is None


@pytest.mark.parametrize("client_of", POLLING, ids=str, indirect=True)
async def test_an_upgrade_at_another_server(servers: tuple[ServerProcess, ServerProcess], client_of: Sdk) -> None:
    """Each request goes to the other one, and every message arrives once and in order."""
    one, other = servers
    async with (
        RequestBalancer([one.client_port, other.client_port]) as balancer,
        one.api() as api,
        client_of(balancer.port, socket("/chat", "chat:far")) as client,
    ):
        [record] = client.records
        await record.connected(within=PATIENCE)
        expected: list[tuple[str, list[object]]] = []
        for number in range(20):
            assert await client.emit("publish", "far", "own", number) == [{}]
            await api.publish("chat:far", ["api", number])
            expected += [("own", [number]), ("api", [number])]
        await on_last_transport(client, client_of)
        await api.publish("chat:far", ["last"])
        await record.got(*expected, ("last", []))
        assert record.ends == []
        assert balancer.upgrades == len(client_of.transports) - 1


@pytest.mark.parametrize("namespace", ["chat", "rooms"])
async def test_a_drain_moves_it(servers: tuple[ServerProcess, ServerProcess], client_of: Sdk, namespace: str) -> None:
    """It comes back by itself; the client for Go recovers what it missed where the namespace does."""
    old, new = servers
    room = f"{namespace}:{uuid.uuid4().hex}"
    async with (
        Balancer([old.client_port]) as balancer,
        new.api() as api,
        client_of(balancer.port, socket(f"/{namespace}", room)) as client,
    ):
        [record] = client.records
        await record.connected(within=PATIENCE)
        await on_last_transport(client, client_of)
        await api.publish(room, ["before"])
        await eventually(lambda: count(record.events), lambda got: got == 1, what="an event", within=15, every=0.01)
        balancer.endpoints = []
        await old.admin("POST", "drain", {"connections_per_second": 50})
        try:
            await record.ended()
            await api.publish(room, ["missed"])
            balancer.endpoints = [new.client_port]
            await record.connected(2, within=PATIENCE)
        finally:
            await old.admin("POST", "resume")
        await api.publish(room, ["after"])
        recovers = client_of.language == "go" and namespace == "rooms"
        names = ["before", "missed", "after"] if recovers else ["before", "after"]
        await eventually(
            lambda: count(record.events), lambda got: got >= len(names), what="the last event", within=15, every=0.01
        )
        assert [name for name, _ in record.events] == names
        assert record.recovered == [False, recovers]
        assert (len(set(record.ids)) == 1) is recovers


def code_of(answer: Sequence[object]) -> object:
    """Return the code of the error that is the acknowledgement."""
    [failure] = answer
    assert isinstance(failure, dict)
    return failure["error"]["code"]


async def count(events: Sequence[object]) -> int:
    """Return the number of events."""
    return len(events)
