"""Clients in several rooms of an ordered namespace, on connections that can be cut at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from realtime_server.codes import DisconnectCode
from realtime_server.core.auth.claims import Claims
from realtime_server.core.channels.join import Wanted
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.grant import PLAIN
from realtime_server.core.model.publication import Content, OrderedContent
from realtime_server.core.model.pushes import Push, SubscribePush
from realtime_server.core.model.values import SequencePosition, StreamPosition
from realtime_server.core.node import Node
from realtime_server.core.operations.ordered_joins import Absence
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.core.sessions.session import Session, SessionContext
from tests.kit.server_doubles import RecordingConnection

WANTED = (Wanted(server_side=True), PLAIN)


class RoomCodec:
    """Implements Codec: a publication is its channel, number, epoch and data."""

    binary, native_pings, unidirectional = True, False, True

    def publication(self, channel: str, content: Content, offset: int) -> bytes:
        """Encode a publication with its position."""
        assert isinstance(content, OrderedContent), offset
        return b"%s %d %s %s" % (
            channel.encode(),
            content.sequence.number,
            content.sequence.epoch.encode(),
            content.data,
        )

    def delta_publication(self, channel: str, content: Content, offset: int, patch: bytes | None) -> bytes:
        """Raise AssertionError: nobody asks for deltas."""
        raise AssertionError(channel, content, offset, patch)

    def push(self, channel: str, push: Push) -> bytes:
        """Say nothing of a subscription; anything else would be a fault: a lost publication ends the connection."""
        assert isinstance(push, SubscribePush), channel
        return b""

    def ping(self) -> bytes:
        """Raise AssertionError: no time passes."""
        raise AssertionError


CODEC = RoomCodec()


class RoomSession(Session):
    """Session of a client that sends nothing."""

    __slots__ = ()

    def on_text(self, payload: bytes, now: float) -> None:
        """Raise AssertionError."""
        raise AssertionError(payload, now)

    def on_binary(self, payload: bytes, now: float) -> None:
        """Raise AssertionError."""
        raise AssertionError(payload, now)

    def on_control(self, now: float) -> None:
        """Do nothing."""


class Wire(RecordingConnection):
    """Connection whose other end is a client: frames wait until it receives them."""

    def __init__(self) -> None:
        super().__init__()
        self.session: Session | None = None

    def close(self, code: DisconnectCode) -> None:
        """Close the session after what was written."""
        super().close(code)
        if self.session is not None:
            self.session.on_closed()


@dataclass(frozen=True)
class Published:
    """Publication that the test has made."""

    channel: str
    position: StreamPosition
    data: bytes

    def follows(self, position: StreamPosition) -> bool:
        """Return True when this comes after a position in its stream."""
        return position.epoch == self.position.epoch and position.offset < self.position.offset


@dataclass
class Client:
    """Client in several rooms, which comes back with the position of the last publication that it has received."""

    node: Node
    rooms: Sequence[str]
    log: list[Published]
    begun: dict[str, StreamPosition] = field(default_factory=dict)
    """State that the server keeps for it."""
    last: SequencePosition | None = None
    received: list[bytes] = field(default_factory=list)
    anew: int = 0
    """Number of connections that did not recover."""
    wire: Wire | None = None
    task: asyncio.Task[None] | None = None

    def connect(self) -> None:
        """Connect, unless it is or does so already."""
        if self.wire is not None and self.wire.closed_by is not None:
            self.receive(1000)  # what was sent before the connection was closed
            self.wire = None
        if self.wire is None and (self.task is None or self.task.done()):
            self.wire = Wire()
            self.task = asyncio.create_task(self._connect(self.wire))

    async def _connect(self, wire: Wire) -> None:
        def make(context: SessionContext, client: str, secret: str) -> Session:
            return RoomSession(context, wire, CODEC, client, TransportInfo(), secret=secret)

        session = wire.session = self.node.open(make)
        self.node.operations.entry.admit(session, Claims(""))
        session.mark_welcome()
        begun, self.begun = self.begun, {}
        absence = Absence(self.last, begun) if self.last is not None and begun else None
        wanted = dict.fromkeys(begun or self.rooms, WANTED)
        try:
            joins = await self.node.operations.ordered.join(session, wanted, own=(), absence=absence)
        except BackplaneError:
            self.begun = begun
            self.cut(wire)
            return
        if joins.recovered or session.closed:
            self.begun = joins.begun if joins.recovered else begun
        else:
            self.verify(begun, whole=False)
            self.anew += 1
            self.begun, self.last, self.received = joins.begun, None, []
        joins.begin()

    def enter(self, room: str) -> None:
        """Have the server add the client to another room."""
        if self.wire is not None and self.wire.session is not None and self.begun and room not in self.begun:
            self.task = asyncio.create_task(self._enter(self.wire.session, room))

    async def _enter(self, session: Session, room: str) -> None:
        try:
            join = await self.node.operations.subscriptions.join(session, room, *WANTED)
            joins = await self.node.operations.ordered.in_order(session, join)
        except BackplaneError:
            return
        if session.closed or room in session.subscriptions:
            joins.abandon()
            return
        self.begun |= joins.begun
        joins.begin()

    def receive(self, count: int) -> None:
        """Receive some of what is on the wire."""
        if self.wire is None:
            return
        for frame in filter(None, self.wire.written[:count]):
            _, number, epoch, data = frame.split(b" ")
            if self.last is not None:
                assert (int(number), epoch.decode()) > (self.last.number, "")
                assert epoch.decode() == self.last.epoch
            self.last = SequencePosition(int(number), epoch.decode())
            self.received.append(data)
        del self.wire.written[:count]

    def cut(self, wire: Wire | None = None) -> None:
        """Lose the connection, with all that is on the wire."""
        wire = wire or self.wire
        if wire is not None and wire.session is not None and not wire.session.closed:
            wire.session.on_closed()
        if wire is self.wire:
            self.wire = None

    def verify(self, begun: dict[str, StreamPosition], *, whole: bool) -> None:
        """Check that the client has received the first publications since it began, all if `whole`."""
        expected = [one.data for one in self.log if one.channel in begun and one.follows(begun[one.channel])]
        assert self.received == (expected if whole else expected[: len(self.received)])
