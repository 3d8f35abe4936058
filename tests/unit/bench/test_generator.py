"""The load generator as a program: against the floor, and against servers that do not make it easy."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from bench import peers
from bench.build import c_program
from bench.generator import Generator, Load, LoadError, Protocol, Target
from bench.machine import CORES
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from realtime_operator.api.base import JsonObject
from realtime_server.app import client_protocols, make_node
from realtime_server.core.ports.route_hooks import NoRouteHooks
from realtime_server.settings import Settings
from realtime_server.transports.accelerated import Flusher
from realtime_server.transports.client_port import ClientPort, ClientPortSettings
from tests.kit.redis_process import free_port

Answer = Callable[["Peer", dict[str, dict[str, object]]], list[str]]


def quick(
    scenario: str, clients: int, *, in_flight: int = 1, rate: float = 0.0, bare: bool = False, warm_clients: int = 0
) -> Load:
    """A load of a fifth of a second."""
    return Load(
        scenario, clients, in_flight, rate, 0.2, warm_up=0.05, at_once=4, bare=bare, warm_clients=warm_clients, settle=0
    )


@pytest.fixture
def generator(tmp_path: Path) -> Iterator[Generator]:
    """Built once; the core that it takes is given back."""
    tokens = tmp_path / "tokens"
    tokens.write_text("token-1\ntoken-2\n")
    yield Generator(c_program("load"), tokens)
    os.sched_setaffinity(0, CORES)


class Peer(asyncio.Protocol):
    """A server that sends everything in pieces of 1 to 7 bytes, or joined, and breaks lines where it may."""

    def __init__(self, subscribers: list[Peer], answer: Answer) -> None:
        self._subscribers = subscribers
        self._answer = answer
        self._protocol = ServerProtocol()
        self._size = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer what is complete."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._protocol.accept(event))
                self._send(b"".join(self._protocol.data_to_send()))
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._on_text(bytes(event.data).decode())

    def _on_text(self, text: str) -> None:
        replies = [line for command in text.split("\n") for line in self._answer(self, json.loads(command))]
        self.send_lines(replies)

    def send_lines(self, replies: list[str]) -> None:
        """All in one message, with a ping after it that the protocol allows."""
        payload = "\n".join(replies).encode()
        frames = Frame(Opcode.TEXT, payload).serialize(mask=False) + Frame(Opcode.PONG, b"abc").serialize(mask=False)
        self._send(frames)

    def _send(self, data: bytes) -> None:
        while data:
            self._size = self._size % 7 + 1
            piece, data = data[: self._size], data[self._size :]
            self._transport.write(piece)


def speak(subscribers: list[Peer]) -> Answer:
    """Centrifugo's protocol; a publication comes joined with a ping of the protocol."""

    def answer(peer: Peer, command: dict[str, dict[str, object]]) -> list[str]:
        number = command.get("id")
        if "connect" in command:
            return [json.dumps({"id": number, "connect": {"client": "a"}})]
        if "subscribe" in command:
            subscribers.append(peer)
            return [json.dumps({"id": number, "subscribe": {}})]
        if "publish" in command:
            push = {"push": {"channel": "c", "pub": {"data": command["publish"]["data"]}}}
            for subscriber in subscribers:
                subscriber.send_lines([json.dumps(push, separators=(",", ":")), "{}"])
            return [json.dumps({"id": number, "publish": {}})]
        return []  # the answer to the ping

    return answer


@contextlib.asynccontextmanager
async def serving(answer: Answer | None = None) -> AsyncIterator[Target]:
    """A server in this process; its CPU time is not of interest."""
    subscribers: list[Peer] = []
    server = await asyncio.get_running_loop().create_server(
        lambda: Peer(subscribers, answer or speak(subscribers)), "127.0.0.1", 0
    )
    port = server.sockets[0].getsockname()[1]
    try:
        yield Target(port, port, (os.getpid(),))
    finally:
        server.close()


@contextlib.asynccontextmanager
async def ours(configuration: JsonObject, protocol: Protocol) -> AsyncIterator[Target]:
    """Server of this repository, in this process."""
    settings = Settings.model_validate(configuration)
    node = make_node(settings, ignore_tokens=True)
    flusher = Flusher(asyncio.get_running_loop().call_soon, 1 << 20)
    protocols = client_protocols(settings, node, flusher, NoRouteHooks())
    clients = ClientPort(node, ClientPortSettings(100, 100, 10), protocols, flusher)
    bound = socket.create_server(("127.0.0.1", 0))
    close = await clients.accept(bound)
    await node.start()
    port = bound.getsockname()[1]
    try:
        yield Target(port, port, (os.getpid(),), protocol)
    finally:
        await close()
        await clients.close()
        await node.stop()


class PolledPeer(asyncio.Protocol):
    """Server for clients of Socket.IO that poll, which sends everything in pieces of 1 to 7 bytes."""

    def __init__(self, posted: list[str]) -> None:
        self._posted = posted
        self._answers = deque(['0{"sid":"id"}', '40{"sid":"a"}', "430[]"])
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a client."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer a request that is complete; a poll without an answer waits."""
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        size = int(head.partition(b"Content-Length: ")[2] or b"0")
        if not end or len(body) < size:
            return
        self._received = b""
        if head.startswith(b"POST"):
            self._posted.append(body.decode())
            self._send("ok")
        elif self._answers:
            self._send(self._answers.popleft())

    def _send(self, body: str) -> None:
        data = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nX: y\r\n\r\n{body}".encode()
        for start in range(0, len(data), 7):
            self._transport.write(data[start : start + 7])


@contextlib.asynccontextmanager
async def floor(*arguments: str) -> AsyncIterator[Target]:
    """The floor as it is measured."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(c_program("floor"), str(port), *arguments)
    try:
        async with asyncio.timeout(5):
            while True:
                with contextlib.suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
        yield Target(port, port, (process.pid,))
    finally:
        process.kill()
        await process.wait()


async def test_no_delivery_is_missed_or_counted_twice(generator: Generator) -> None:
    """Whatever pieces they come in."""
    async with serving() as target:
        measured = await generator.run(quick("fan-out", 3, rate=100.0), target)
    assert measured.published > 10
    assert abs(measured.count - 3 * measured.published) <= 9
    assert measured.wall == pytest.approx(0.2, rel=0.5)


@pytest.mark.parametrize("arguments", [[], ["1"]])
@pytest.mark.parametrize("in_flight", [1, 16])
async def test_the_floor_delivers_every_publication(generator: Generator, arguments: list[str], in_flight: int) -> None:
    """To every subscriber, with and without joining."""
    async with floor(*arguments) as target:
        measured = await generator.run(quick("fan-out", 20, in_flight=in_flight), target)
    assert measured.published > 0
    assert abs(measured.count - 20 * measured.published) <= 20 * in_flight
    assert measured.latency is not None
    assert 0 < measured.latency.p50 <= measured.latency.p99 <= measured.latency.highest
    assert 0 < measured.server_cpu <= measured.wall * 1.1
    assert 0 < measured.load_cpu <= measured.wall * 1.1


async def test_every_command_is_answered(generator: Generator) -> None:
    """One or many in a write."""
    async with floor() as target:
        for in_flight in (1, 16):
            measured = await generator.run(quick("inbound", 4, in_flight=in_flight), target)
            assert measured.count > 0


async def test_a_storm_opens_what_it_is_asked_for(generator: Generator) -> None:
    """Bare or with commands; memory is read before and after."""
    async with floor() as target:
        for load in (quick("storm", 50), quick("storm", 50, bare=True)):
            assert (await generator.run(load, target)).count == 50
        grown = await generator.run(quick("idle", 50, warm_clients=10), target)
        assert grown.count == 50
        assert abs(grown.bytes_per_connection) < 10_000


async def test_a_refused_client_is_told_of(generator: Generator) -> None:
    """With the server's words."""

    def refuse(_: Peer, command: dict[str, dict[str, object]]) -> list[str]:
        return [json.dumps({"id": command["id"], "error": {"code": 109, "message": "token expired"}})]

    async with serving(refuse) as target:
        with pytest.raises(LoadError, match=r"the server refuses client 0: .*token expired"):
            await generator.run(quick("storm", 1), target)


async def test_a_connection_that_ends_is_told_of(generator: Generator) -> None:
    """And nothing is measured."""

    def hang_up(peer: Peer, _: dict[str, dict[str, object]]) -> list[str]:
        peer._transport.close()
        return []

    async with serving(hang_up) as target:
        with pytest.raises(LoadError, match="the server ends the connection of client 0: end of stream"):
            await generator.run(quick("storm", 1), target)
    with pytest.raises(LoadError, match="client 0 cannot"):
        await generator.run(quick("storm", 1), target)


SOCKET_IO = peers.SOCKET_IO_CONFIGURATION
CONFIGURATIONS: tuple[tuple[JsonObject, Protocol], ...] = (
    (SOCKET_IO, "socket.io"),
    (SOCKET_IO, "socket.io-polling"),
    (peers.plain_configuration("json"), "plain"),
    (peers.plain_configuration("none"), "plain"),
)


@pytest.mark.parametrize("in_flight", [1, 20])
@pytest.mark.parametrize(("configuration", "protocol"), CONFIGURATIONS)
async def test_other_protocols_are_spoken_too(
    generator: Generator, configuration: JsonObject, protocol: Protocol, in_flight: int
) -> None:
    """No delivery is missed or counted twice, also of those that come together."""
    async with ours(configuration, protocol) as target:
        measured = await generator.run(quick("fan-out", 3, in_flight=in_flight), target)
    assert measured.published > 10
    assert abs(measured.count - 3 * measured.published) <= 3 * in_flight
    assert measured.latency is not None


async def test_a_client_that_polls_joins_by_polls(generator: Generator) -> None:
    """Whatever pieces the answers come in."""
    posted: list[str] = []
    server = await asyncio.get_running_loop().create_server(lambda: PolledPeer(posted), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        measured = await generator.run(quick("storm", 2), Target(port, port, (os.getpid(),), "socket.io-polling"))
    assert measured.count == 2
    subscribe = '420["subscribe","open:bench"]'
    assert sorted(posted) == ['40{"token":"token-1"}', '40{"token":"token-2"}', subscribe, subscribe]


async def test_an_answer_that_refuses_a_poll_is_told_of(generator: Generator) -> None:
    """With the server's words."""
    async with ours(peers.plain_configuration("none"), "socket.io-polling") as target:
        with pytest.raises(LoadError, match=r"the server answers client 0: HTTP/1\.1 404 Not Found"):
            await generator.run(quick("storm", 1), target)
