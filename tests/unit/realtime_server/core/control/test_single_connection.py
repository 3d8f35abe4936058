"""One connection per user across workers: the last admitted one is kept."""

from __future__ import annotations

import asyncio

import pytest

from realtime_server import codes
from realtime_server.backplane.memory import MemoryBroker
from realtime_server.core.control import messages
from realtime_server.core.control.messages import KeepNewest
from realtime_server.core.model.channel_options import ChannelOptions
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.core.model.values import PresenceStats
from realtime_server.core.node import Node
from tests.kit.server_doubles import SECRET, Clock, RecordingConnection, accept, make_node, send
from tests.kit.tokens import connection_token

NAMESPACES = Namespaces([("inbox", ChannelOptions(personal_channel=True, single_connection=True, presence=True))])
ALICE, BOB = (connection_token(SECRET, user) for user in ("alice", "bob"))


async def settle() -> None:
    """Run all tasks until they wait."""
    for _ in range(50):
        await asyncio.sleep(0)


class Worker:
    """Node with its own clock."""

    def __init__(self) -> None:
        self.clock = Clock(1000.0)
        self.broker = MemoryBroker()
        self.node: Node = make_node(self.broker, namespaces=NAMESPACES, wall_clock=self.clock)

    async def connect(self, token: str) -> RecordingConnection:
        """Connect a client of a user."""
        session, connection = accept(self.node)
        send(session, {"id": 1, "connect": {"token": token}})
        await settle()
        return connection


@pytest.fixture
async def worker() -> Worker:
    """Return a worker whose messages reach itself."""
    made = Worker()
    await made.broker.start(made.node)
    return made


async def test_a_new_connection_closes_the_earlier_ones_of_its_user(worker: Worker) -> None:
    """Earlier connections get a final code, so that clients do not replace each other in turn.

    Other users are unaffected.
    """
    connections = []
    for token in (ALICE, BOB, ALICE, ALICE):
        connections.append(await worker.connect(token))
        worker.clock.now += 1
    assert [connection.closed_by for connection in connections] == [
        codes.CONNECTION_LIMIT,
        None,
        codes.CONNECTION_LIMIT,
        None,
    ]
    assert not codes.CONNECTION_LIMIT.reconnect
    assert sum(worker.node.counters.limits.values()) == 0, "it is no limit that somebody exceeds"


async def test_a_newer_connection_elsewhere_closes_this_one(worker: Worker) -> None:
    connection = await worker.connect(ALICE)
    worker.node.on_control(messages.encode(KeepNewest("alice", "elsewhere", worker.clock.now + 5)))
    assert connection.closed_by is codes.CONNECTION_LIMIT


async def test_an_older_connection_elsewhere_is_answered(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older connection that could not see this one in presence yet is told of it."""
    sent: list[messages.Message | None] = []
    connection = await worker.connect(ALICE)
    publish = worker.broker.publish_control

    async def record(message: bytes, worker_uid: str = "") -> None:
        sent.append(messages.decode(message))
        await publish(message, worker_uid)

    monkeypatch.setattr(worker.broker, "publish_control", record)
    worker.node.on_control(messages.encode(KeepNewest("alice", "elsewhere", worker.clock.now - 5)))
    await settle()
    (session,) = worker.node.sessions
    assert sent == [KeepNewest("alice", session.client, worker.clock.now)]
    assert connection.closed_by is None


async def test_of_two_that_come_in_the_same_instant_one_is_left(worker: Worker) -> None:
    """Both workers keep the same connection."""
    connections = [await worker.connect(ALICE), await worker.connect(ALICE)]
    assert sorted(connection.closed_by is None for connection in connections) == [False, True]


async def test_who_cannot_be_compared_has_to_return(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the backplane the client gets 3004, because other connections are unknown."""

    async def away(_: str) -> PresenceStats:
        raise BackplaneError("away")

    monkeypatch.setattr(worker.node.hub, "presence_stats", away)
    connection = await worker.connect(ALICE)
    assert connection.closed_by is codes.SERVER_ERROR
