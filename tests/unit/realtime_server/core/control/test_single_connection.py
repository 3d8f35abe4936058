"""One connection of each user, across workers: whoever was let in last is left."""

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
    """Let every task go on."""
    for _ in range(50):
        await asyncio.sleep(0)


class Worker:
    """A node with its own clock."""

    def __init__(self) -> None:
        self.clock = Clock(1000.0)
        self.broker = MemoryBroker()
        self.node: Node = make_node(self.broker, namespaces=NAMESPACES, wall_clock=self.clock)

    async def connect(self, token: str) -> RecordingConnection:
        """A connection of a user."""
        session, connection = accept(self.node)
        send(session, {"id": 1, "connect": {"token": token}})
        await settle()
        return connection


@pytest.fixture
async def worker() -> Worker:
    """One that is linked with itself."""
    made = Worker()
    await made.broker.start(made.node)
    return made


async def test_a_new_connection_closes_the_earlier_ones_of_its_user(worker: Worker) -> None:
    """With a final code, so that they do not take turns; other users are left alone."""
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
    """By a message of its worker."""
    connection = await worker.connect(ALICE)
    worker.node.on_control(messages.encode(KeepNewest("alice", "elsewhere", worker.clock.now + 5)))
    assert connection.closed_by is codes.CONNECTION_LIMIT


async def test_an_older_connection_elsewhere_is_answered(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has not seen this one in the presence, because both came at once; it is told of it."""
    sent: list[messages.Message | None] = []
    connection = await worker.connect(ALICE)
    publish = worker.broker.publish_control

    async def record(message: bytes, worker_uid: str = "") -> None:
        sent.append(messages.decode(message))
        await publish(message, worker_uid)

    monkeypatch.setattr(worker.broker, "publish_control", record)
    worker.node.on_control(messages.encode(KeepNewest("alice", "elsewhere", worker.clock.now - 5)))
    await settle()
    (session,) = worker.node.sessions_of("alice")
    assert sent == [KeepNewest("alice", session.client, worker.clock.now)]
    assert connection.closed_by is None


async def test_of_two_that_come_in_the_same_instant_one_is_left(worker: Worker) -> None:
    """Whichever: both workers decide the same."""
    connections = [await worker.connect(ALICE), await worker.connect(ALICE)]
    assert sorted(connection.closed_by is None for connection in connections) == [False, True]


async def test_who_cannot_be_compared_has_to_return(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """3004: without the backplane nobody knows of other connections."""

    async def away(_: str) -> PresenceStats:
        raise BackplaneError("away")

    monkeypatch.setattr(worker.node.hub, "presence_stats", away)
    connection = await worker.connect(ALICE)
    assert connection.closed_by is codes.SERVER_ERROR
