"""Polls of one client on one socket, of which all but the first are answered without aiohttp."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from realtime_server.app import make_node
from realtime_server.core.node import Node
from realtime_server.settings import Settings
from realtime_server.socket_io.engine_connection import EngineConnection
from realtime_server.socket_io.socket_namespace import ClientEvent
from realtime_server.transports import http_server
from realtime_server.transports.accelerated import Flusher
from realtime_server.transports.client_port import ClientPort, ClientPortSettings
from realtime_server.transports.frames import frame_text
from realtime_server.transports.repeated_poll import RepeatedPoll
from realtime_server.transports.socket_io_protocol import NamespaceSettings, SocketIoProtocol, SocketIoSettings
from tests.kit.deadline import eventually
from tests.kit.raw_client import RawStream, frame, raw_stream, request
from tests.unit.realtime_server.socket_io.world import POLLING

TEXT = 0x81
HEADERS = {"Host": "a", "Origin": "https://app.example.com"}
OF_LIBRARY = {"server"}
"""Headers that only aiohttp adds."""


@dataclass
class World:
    """A port for clients with Socket.IO, `keeps`: it keeps sockets; `takes` counts the polls without aiohttp."""

    node: Node
    protocol: SocketIoProtocol
    keeps: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    takes: int = 0

    def connection(self, sid: str) -> EngineConnection:
        """Return an open connection."""
        found = self.protocol.server.find(sid)
        assert found is not None
        return found


@pytest_asyncio.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Serve until the end of the test."""
    node = make_node(Settings())
    flusher = Flusher(asyncio.get_running_loop().call_soon, 65_536)
    settings = SocketIoSettings("/socket.io/", (NamespaceSettings("/", "", frozenset(ClientEvent)),), 10)
    made = World(node, SocketIoProtocol(node, settings, flusher))
    made.keeps.set()
    take = RepeatedPoll.take

    def counted(poll: RepeatedPoll, data: bytes) -> bool:
        taken = take(poll, data)
        made.takes += taken
        return taken

    monkeypatch.setattr(RepeatedPoll, "take", counted)
    clients = ClientPort(node, ClientPortSettings(10, 10, 10), (made.protocol,), flusher, keeps=made.keeps.is_set)
    bound = socket.create_server(("127.0.0.1", 0))
    made.port = bound.getsockname()[1]
    close = await clients.accept(bound)
    yield made
    await close()
    await clients.close()


class Poller:
    """Client with one socket, on which it has polled once; `sid` is its connection's id."""

    def __init__(self, world: World, stream: RawStream, sid: str) -> None:
        self.world = world
        self.stream = stream
        self.sid = sid
        self._stamp = 0

    def poll(self, sid: str = "") -> bytes:
        """Return a poll."""
        self._stamp += 1
        return request(f"/socket.io/?EIO=4&transport=polling&t=x{self._stamp}&sid={sid or self.sid}", headers=HEADERS)

    async def send(self, data: bytes) -> None:
        """Send bytes, and wait until they are handled."""
        await self.stream.send(data)
        await asyncio.sleep(0.05)

    def write(self, message: bytes) -> None:
        """Have a packet sent to it."""
        self.world.connection(self.sid).wire.write(frame_text(message))

    async def body(self) -> bytes:
        """Return the body of the next answer, which has status 200."""
        status, _, body = await self.stream.answer()
        assert status == 200
        return body


@contextlib.asynccontextmanager
async def poller(world: World) -> AsyncIterator[Poller]:
    """Open a connection and poll once, which aiohttp answers."""
    async with raw_stream(world.port) as stream:
        await stream.send(request("/socket.io/?EIO=4&transport=polling&t=a", headers=HEADERS))
        _, _, opened = await stream.answer()
        client = Poller(world, stream, opened.split(b'"')[3].decode())
        await client.send(client.poll())
        client.write(b"4first")
        assert await client.body() == b"4first"
        assert world.takes == 0
        yield client


async def test_a_repeated_poll_is_answered_like_the_first(world: World) -> None:
    """At once when something waits, or else as soon as there is something; with the same headers."""
    async with poller(world) as client:
        client.write(b"4a")
        await client.send(request(f"/socket.io/?EIO=4&transport=polling&sid={client.sid}", headers=HEADERS))
        status, by_library, _ = await client.stream.answer()
        assert (status, world.takes) == (200, 0)
        client.write(b"4b")
        await client.send(request(f"/socket.io/?EIO=4&transport=polling&sid={client.sid}", headers=HEADERS))
        status, headers, body = await client.stream.answer()
        assert (status, body, world.takes) == (200, b"4b", 1)
        assert headers.keys() == by_library.keys() - OF_LIBRARY
        for name in headers.keys() - {"date"}:
            assert headers[name] == by_library[name]
        await client.send(request(f"/socket.io/?EIO=4&transport=polling&sid={client.sid}", headers=HEADERS))
        client.write(b"4c")
        client.write(b"4d")
        assert await client.body() == b"4c\x1e4d"
        assert world.takes == 2


async def test_polls_that_come_before_the_answer_wait_for_it(world: World) -> None:
    """Each is answered in its turn; so is another request among them."""
    async with poller(world) as client:
        await client.send(client.poll())
        await client.send(client.poll() + client.poll())
        post = {**HEADERS, "Content-Length": "1"}
        await client.send(request(f"/socket.io/?EIO=4&transport=polling&sid={client.sid}", "POST", post) + b"3")
        for message in (b"4a", b"4b", b"4c"):
            client.write(message)
            assert await client.body() == message
            await asyncio.sleep(0.05)
        assert await client.body() == b"ok"


async def test_other_requests_take_turns_with_polls(world: World) -> None:
    """On one socket: data of the client, another path, a poll in two pieces, and one that is refused."""
    async with poller(world) as client:
        for number, other in enumerate(
            (
                request(
                    f"/socket.io/?EIO=4&transport=polling&sid={client.sid}", "POST", {**HEADERS, "Content-Length": "1"}
                )
                + b"3",
                request("/health", headers=HEADERS),
            )
        ):
            await client.send(other)
            assert (await client.stream.answer())[0] == 200
            client.write(b"4a")
            await client.send(client.poll())
            assert await client.body() == b"4a"
            assert world.takes == number + 1
        client.write(b"4b")
        data = client.poll()
        await client.send(data[:60])
        await client.send(data[60:])
        assert await client.body() == b"4b"
        assert world.takes == 2
        await client.send(client.poll("nobody"))
        status, _, body = await client.stream.answer()
        assert (status, body) == (400, b'{"code":1,"message":"Session ID unknown"}')


async def test_polls_of_two_clients_on_one_socket_reach_each(world: World) -> None:
    """As a proxy sends them."""
    async with poller(world) as client:
        other = world.protocol.server.open_polling(POLLING)
        for _ in range(2):
            other.wire.write(frame_text(b"4other"))
            client.write(b"4own")
            await client.send(client.poll(other.sid))
            assert await client.body() == b"4other"
            await client.send(client.poll())
            assert await client.body() == b"4own"


async def test_a_client_that_goes_away_while_it_polls_has_lost_its_connection(world: World) -> None:
    async with poller(world) as client:
        await client.send(client.poll())
        assert world.takes == 1

    async def known() -> bool:
        return world.protocol.server.find(client.sid) is not None

    await eventually(known, lambda found: not found, what="the end", within=5, every=0.01)


async def test_polls_that_overlap_end_the_connection_as_in_the_reference(world: World) -> None:
    """Both are answered, and what follows is refused."""
    async with poller(world) as client, raw_stream(world.port) as second:
        await client.send(client.poll())
        await second.send(client.poll())
        assert (await second.answer())[0] == 400
        assert await client.body() == b"1"
        await client.send(client.poll())
        assert (await client.stream.answer())[0] == 400


async def test_a_socket_that_is_not_kept_is_closed_with_the_answer(world: World) -> None:
    """As by the library: the client is told, and does not lose a request."""
    async with poller(world) as client:
        await client.send(client.poll())
        world.keeps.clear()
        client.write(b"4a")
        status, headers, body = await client.stream.answer()
        assert (status, headers["connection"], body) == (200, "close", b"4a")
        with pytest.raises(asyncio.IncompleteReadError):
            await client.stream.answer()


async def test_a_websocket_opens_on_the_socket_of_polls(world: World) -> None:
    """As a proxy sends it; what was answered before stays so."""
    async with poller(world) as client:
        client.write(b"4a")
        await client.send(client.poll())
        assert await client.body() == b"4a"
        await client.stream.send(request(f"/socket.io/?EIO=4&transport=websocket&sid={client.sid}"))
        assert (await client.stream.answer())[0] == 101
        await client.stream.send(frame(TEXT, b"2probe"))
        assert await client.stream.frame() == (TEXT, b"3probe")


async def test_a_socket_is_kept_while_its_client_polls(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long an answer takes, and for the whole time after it; then it is closed."""
    monkeypatch.setattr(http_server, "KEEP_ALIVE_SECONDS", 0.4)
    async with poller(world) as client:
        await client.send(client.poll())
        await asyncio.sleep(0.7)
        client.write(b"4a")
        assert await client.body() == b"4a"
        await asyncio.sleep(0.25)
        client.write(b"4b")
        await client.send(client.poll())
        assert await client.body() == b"4b"
        with pytest.raises(asyncio.IncompleteReadError):
            await client.stream.answer()
