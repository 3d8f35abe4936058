"""A node with its backplane in memory, and clients of Socket.IO that are not in other processes."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import msgspec

from realtime_server.backplane.memory import MemoryBroker
from realtime_server.backplane.memory_sessions import MemorySessionStore
from realtime_server.codes import DisconnectCode
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.grant import Grant
from realtime_server.core.model.values import Publication
from realtime_server.core.ports.backend import (
    Caller,
    Connected,
    Connecting,
    Hook,
    HookEvent,
    NoBackend,
    Published,
    TransportInfo,
)
from realtime_server.core.ports.backplane import BrokerEvents
from realtime_server.protocols.socket_io.namespace_codec import Framing, NamespaceCodec
from realtime_server.socket_io.engine_connection import EngineConnection
from realtime_server.socket_io.engine_server import EngineServer
from realtime_server.socket_io.engine_socket import EngineSocket
from realtime_server.socket_io.socket_namespace import ClientEvent, SocketNamespace
from realtime_server.transports.frames import frame_binary, frame_text, split_frames
from tests.kit.server_doubles import Clock, RecordingConnection, make_node

FRAMING = Framing(frame_text, frame_binary, split_frames)
POLLING = TransportInfo("polling", "json")


async def settle() -> None:
    """Run all tasks until they wait."""
    for _ in range(20):
        await asyncio.sleep(0)


@dataclass
class AskedBackend(NoBackend):
    """Backend with prepared answers, which records what it is asked."""

    hooks: frozenset[Hook]
    answers: deque[Connected | Grant | Published | bytes | Exception | None] = field(default_factory=deque)
    asked: list[tuple[object, ...]] = field(default_factory=list)
    events: list[HookEvent] = field(default_factory=list)
    gate: asyncio.Event | None = None

    def asks(self, hook: Hook, channel: str = "") -> bool:
        """See Backend."""
        del channel
        return hook in self.hooks

    async def connect(self, request: Connecting) -> Connected | None:
        """See Backend."""
        answer = await self._answer(request.data)
        assert answer is None or isinstance(answer, Connected)
        return answer

    async def subscribe(self, caller: Caller, channel: str, data: bytes, token: str) -> Grant | None:
        """See Backend."""
        answer = await self._answer(caller.user, channel, data, token)
        assert answer is None or isinstance(answer, Grant)
        return answer

    async def publish(self, caller: Caller, channel: str, data: bytes) -> Published | None:
        """See Backend."""
        answer = await self._answer(caller.user, channel, data)
        assert answer is None or isinstance(answer, Published)
        return answer

    async def rpc(self, caller: Caller, method: str, data: bytes) -> bytes:
        """See Backend."""
        answer = await self._answer(caller.user, method, data)
        assert isinstance(answer, bytes)
        return answer

    def emit(self, event: HookEvent) -> None:
        """See Backend."""
        self.events.append(event)

    async def _answer(self, *question: object) -> Connected | Grant | Published | bytes | None:
        await (self.gate.wait() if self.gate is not None else asyncio.sleep(0))
        self.asked.append(question)
        answer = self.answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        return answer


class SharedBroker(MemoryBroker):
    """Broker of several workers in one process."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self._workers: dict[str, BrokerEvents] = {}

    async def start(self, events: BrokerEvents, node: str = "") -> None:
        """Deliver to each of them."""
        self._workers[node] = events
        await super().start(self, node)

    async def publish_control(self, message: bytes, node: str = "") -> None:
        """Deliver the message to all, or to one."""
        for name, events in self._workers.items():
            if node in {"", name}:
                events.on_control(message)

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        """Deliver a publication to all."""
        for events in self._workers.values():
            events.on_publication(channel, publication, epoch)

    def on_interrupted(self) -> None:
        """Do nothing: memory has no gaps."""

    def on_gap(self) -> None:
        """Do nothing, see `on_interrupted`."""

    def on_control(self, message: bytes) -> None:
        """Do nothing: `publish_control` has delivered it."""


class Client:
    """Client by a WebSocket of its own; `sid` is that of the connection."""

    def __init__(self, world: World, wire: RecordingConnection, socket: EngineSocket) -> None:
        self.world = world
        self.wire = wire
        self.socket = socket

    def text(self, *messages: str) -> None:
        """Send text messages."""
        for message in messages:
            self.socket.on_text(message.encode(), self.world.clock())

    def binary(self, *messages: bytes) -> None:
        """Send binary messages."""
        for message in messages:
            self.socket.on_binary(message, self.world.clock())

    def take(self) -> list[str | bytes]:
        """Return the messages since the last call."""
        written, self.wire.written = self.wire.written, []
        return messages_in(written)

    async def ask(self, *messages: str) -> list[str | bytes]:
        """Send text messages, and return what comes for them."""
        self.take()
        self.text(*messages)
        await settle()
        return self.take()

    async def connect(self, namespace: str = "", auth: object = None) -> str:
        """Connect to a namespace; return the id of the socket."""
        data = "" if auth is None else msgspec.json.encode(auth).decode()
        prefix = f"{namespace}," if namespace else ""
        [answer] = await self.ask(f"40{prefix}{data}")
        assert isinstance(answer, str)
        begin = f'40{prefix}{{"sid":"'
        assert answer.startswith(begin), answer
        return answer.removeprefix(begin).removesuffix('"}')

    @property
    def closed_by(self) -> DisconnectCode | None:
        """Code by which the WebSocket was closed."""
        return self.wire.closed_by


class World:
    """Node with namespaces: `/` whose rooms are channels, `/chat` with rooms of `chat`, `/own` without own events.

    In `/rooms` and `/more`, with rooms of `rooms`, sockets recover, also at another node with the same broker and
    `states`.
    """

    def __init__(
        self,
        *hooks: Hook,
        answers: Iterable[Connected | Grant | Published | bytes | CommandError | Exception | None] = (),
        messages: int = 1000,
        anonymous: bool = True,
        channels: int = 3,
        max_connections: int = 100,
        connects_per_second: float = 0,
        broker: MemoryBroker | None = None,
        clock: Clock | None = None,
        states: MemorySessionStore | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.backend = AskedBackend(frozenset(hooks), deque(answers))
        self.node = make_node(
            broker,
            backend=self.backend if hooks else None,
            clock=self.clock,
            messages=messages,
            anonymous=anonymous,
            channels=channels,
            connects_per_second=connects_per_second,
            sessions=states or MemorySessionStore(most=100, clock=self.clock),
        )
        own: frozenset[ClientEvent] = frozenset()
        self.server = EngineServer(
            self.node,
            (
                SocketNamespace("/", NamespaceCodec("/", FRAMING)),
                SocketNamespace("/chat", NamespaceCodec("/chat", FRAMING), "chat"),
                SocketNamespace("/own", NamespaceCodec("/own", FRAMING), "open", own),
                *(
                    SocketNamespace(name, NamespaceCodec(name, FRAMING, "rooms"), "rooms", recovers=True)
                    for name in ("/rooms", "/more")
                ),
            ),
            FRAMING,
            max_connections=max_connections,
        )

    def open(self) -> Client:
        """Open a WebSocket."""
        wire = RecordingConnection()
        return Client(self, wire, self.server.open_websocket(wire, TransportInfo("websocket", "json")))

    def poll(self) -> EngineConnection:
        """Open a connection that polls."""
        return self.server.open_polling(POLLING)

    def upgrade(self, connection: EngineConnection) -> Client:
        """Open a WebSocket for a connection that polls."""
        wire = RecordingConnection()
        return Client(self, wire, self.server.upgrade(connection, wire))

    def pass_time(self, seconds: float) -> None:
        """Let time pass, and do the periodic work."""
        self.clock.now += seconds
        self.server.beat()


@contextlib.asynccontextmanager
async def two_workers() -> AsyncIterator[tuple[World, World]]:
    """Start two workers that know each other."""
    clock = Clock()
    broker = SharedBroker(clock)
    workers = World(broker=broker, clock=clock), World(broker=broker, clock=clock)
    for world in workers:
        await world.node.start()
    await settle()
    yield workers
    for world in workers:
        await world.node.stop()


def messages_in(written: Iterable[bytes]) -> list[str | bytes]:
    """Return the messages in frames."""
    return [payload if binary else payload.decode() for frames in written for binary, payload in split_frames(frames)]


def polled(connection: EngineConnection) -> list[str]:
    """Poll, and return the packets that are there; a poll that has to wait stays."""
    bodies: list[bytes] = []
    connection.poll(lambda answer: bodies.append(answer.body))
    return [packet.decode() for body in bodies for packet in body.split(b"\x1e")]
