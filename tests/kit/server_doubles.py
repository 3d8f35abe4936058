"""Doubles of core's surroundings for unit tests: a recording connection, manual clocks, a node in memory."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from realtime_server.backplane.memory import MemoryBroker
from realtime_server.backplane.memory_presence import MemoryPresence
from realtime_server.backplane.memory_revocations import MemoryRevocations
from realtime_server.codes import DisconnectCode
from realtime_server.core.auth.revocations import Revocations
from realtime_server.core.auth.verifier import TokenVerifier
from realtime_server.core.auth.web_token import TokenKey
from realtime_server.core.limits.limit import NodeLimits
from realtime_server.core.model.channel_options import Access, ChannelOptions
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.core.model.revocation import MAX_REVOCATIONS
from realtime_server.core.model.values import HistoryOptions
from realtime_server.core.node import Node, NodeSettings
from realtime_server.core.ports.backend import Backend
from realtime_server.core.ports.backplane import Broker, RevocationStore
from realtime_server.core.ports.session_store import SessionStore
from realtime_server.core.sessions.session import Session
from realtime_server.protocols.centrifuge.json_codec import JsonCodec

SECRET = "a secret of more than thirty-two characters"
WIRE = JsonCodec(lambda message: message)
NAMESPACES = Namespaces(
    [
        ("chat", ChannelOptions(history=HistoryOptions(10, 60.0), recovery=True, presence=True,
                                publish=Access.SUBSCRIBERS)),
        ("open", ChannelOptions(publish=Access.ANYONE)),
        ("news", ChannelOptions()),
        ("rooms", ChannelOptions(history=HistoryOptions(10, 60.0), recovery=True, ordered=True,
                                 presence=True, publish=Access.SUBSCRIBERS)),
    ]
)  # fmt: skip


@dataclass(eq=False)
class RecordingConnection:
    """Implements Connection; records messages and the close code."""

    written: list[bytes] = field(default_factory=list)
    closed_by: DisconnectCode | None = None
    congested: bool = False
    paused: bool = False
    written_bytes: int = 0
    behind: int = 0
    refused: int = 0

    def write(self, frames: bytes) -> None:
        """Record a message."""
        if self.closed_by is None:
            self.written.append(frames)
            self.written_bytes += len(frames)

    def unsent(self) -> int:
        """Return the value that the test has set."""
        return self.refused

    def unacknowledged(self) -> int:
        """Return the value that the test has set."""
        return self.behind

    def is_paused(self) -> bool:
        """Return True while reading is paused."""
        return self.paused

    def pause_reading(self) -> None:
        """Record that reading is paused."""
        self.paused = True

    def resume_reading(self) -> None:
        """Record that reading is resumed."""
        self.paused = False

    def close(self, code: DisconnectCode) -> None:
        """Record the close code."""
        self.closed_by = self.closed_by or code

    def take(self) -> list[object]:
        """Return the messages since the last call, decoded."""
        taken, self.written = self.written, []
        return [msgspec.json.decode(message) for message in taken]


@dataclass
class Clock:
    """Clock that is advanced by hand; seconds."""

    now: float = 1000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def make_node(
    broker: Broker | None = None,
    *,
    backend: Backend | None = None,
    namespaces: Namespaces = NAMESPACES,
    channels: int = 3,
    messages: int = 1000,
    connections_per_user: int = 0,
    connects_per_second: float = 0,
    anonymous: bool = True,
    expiry_leeway: float = 0.0,
    secrets: Sequence[str] = (SECRET,),
    clock: Clock | None = None,
    wall_clock: Clock | None = None,
    revocations: RevocationStore | None = None,
    sessions: SessionStore | None = None,
) -> Node:
    """Return a node with few channels per connection and manual clocks."""
    settings = NodeSettings(
        name="server",
        version="0",
        namespaces=namespaces,
        limits=NodeLimits(
            channels, messages, connections_per_user=connections_per_user, connects_per_second=connects_per_second
        ),
        heartbeat_interval=25,
        heartbeat_timeout=8,
        anonymous=anonymous,
        expiry_leeway=expiry_leeway,
    )
    clock, wall_clock = clock or Clock(), wall_clock or Clock(time.time())
    here = MemoryBroker(clock=clock)
    return Node(
        settings,
        broker or here,
        MemoryPresence(here, clock=clock),
        TokenVerifier(lambda: [TokenKey("HS256", secret) for secret in secrets], revocations=Revocations(wall_clock)),
        backend,
        revocations=revocations or MemoryRevocations(most=MAX_REVOCATIONS, page_size=100, wall_clock=wall_clock),
        sessions=sessions,
        clock=clock,
        wall_clock=wall_clock,
    )


def accept(node: Node) -> tuple[Session, RecordingConnection]:
    """Return a new connection without a connect command."""
    connection = RecordingConnection()
    return node.accept(connection, WIRE), connection


def connected(node: Node, token: str = "") -> tuple[Session, RecordingConnection]:
    """Return a connection after its connect command."""
    session, connection = accept(node)
    send(session, {"id": 1, "connect": {"token": token} if token else {}})
    connection.take()
    return session, connection


def send(session: Session, *commands: object) -> None:
    """Pass commands to a session, in one message."""
    session.on_text(b"\n".join(msgspec.json.encode(command) for command in commands), session._context.clock())
