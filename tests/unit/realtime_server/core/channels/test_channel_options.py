"""Options of a namespace, on two servers with one broker."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_server.backplane.memory import MemoryBroker
from realtime_server.core.channels.hub import CHECK_SECONDS
from realtime_server.core.channels.presence import PRESENCE_TTL_SECONDS
from realtime_server.core.model.channel_options import ChannelOptions, RecoveryMode
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.core.model.values import HistoryOptions, HistoryQuery, Publication
from realtime_server.core.node import Node
from realtime_server.core.ports.api import Connections, Message
from realtime_server.core.ports.backplane import BrokerEvents
from realtime_server.core.server_api import ServerApi
from realtime_server.core.sessions.session import Session
from tests.kit.document import dig, object_at, objects_at, parse
from tests.kit.scripted_broker import ScriptedBroker
from tests.kit.server_doubles import SECRET, Clock, RecordingConnection, connected, make_node, send
from tests.kit.tokens import connection_token

KEPT = HistoryOptions(10, 60.0)
NAMESPACES = Namespaces(
    [
        ("people", ChannelOptions(join_leave=True, presence=True)),
        ("room", ChannelOptions(join_leave=True, history=KEPT, recovery=True)),
        ("price", ChannelOptions(history=KEPT, recovery=True, recovery_mode=RecoveryMode.CACHE)),
        ("chat", ChannelOptions(history=KEPT, recovery=True, delta=True)),
        ("late", ChannelOptions(history=KEPT, recovery=True, write_delay_seconds=60)),
    ]
)


async def settle() -> None:
    """Run all tasks until they wait."""
    for _ in range(30):
        await asyncio.sleep(0)


class SharedBroker(MemoryBroker):
    """Memory broker that is shared by several nodes."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock=clock)
        self.nodes: list[Node] = []
        self._subscribers: Counter[str] = Counter()

    async def start(self, events: BrokerEvents, node: str = "") -> None:
        """Add a node."""
        assert isinstance(events, Node)
        self.nodes.append(events)
        await super().start(self, node)

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        """Deliver to all nodes."""
        for node in self.nodes:
            node.on_publication(channel, publication, epoch)

    def on_control(self, message: bytes) -> None:
        """Deliver to all nodes."""
        for node in self.nodes:
            node.on_control(message)

    def on_interrupted(self) -> None:
        """Do nothing: there is no link."""

    def on_gap(self) -> None:
        """Do nothing: there is no link."""

    async def subscribe(self, channel: str) -> None:
        """Count a subscription of a node."""
        self._subscribers[channel] += 1
        await super().subscribe(channel)

    async def unsubscribe(self, channel: str) -> None:
        """Remove a subscription of a node."""
        self._subscribers[channel] -= 1
        if not self._subscribers[channel]:
            await super().unsubscribe(channel)


class World:
    """Two servers with a shared broker."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.broker = SharedBroker(self.clock)
        self.nodes = [make_node(self.broker, namespaces=NAMESPACES, clock=self.clock) for _ in "ab"]

    async def subscribed(
        self, node: int, channel: str, user: str = "", **wanted: object
    ) -> tuple[Session, RecordingConnection]:
        """Return a subscribed client; its reply is still to be read."""
        session, connection = connected(self.nodes[node], connection_token(SECRET, user) if user else "")
        send(session, {"id": 2, "subscribe": {"channel": channel, **wanted}})
        await settle()
        return session, connection


@pytest.fixture
async def world() -> World:
    """Start two servers."""
    made = World()
    for node in made.nodes:
        await node.broker.start(node)
    return made


def taken(connection: RecordingConnection) -> list[JsonObject]:
    """Return what was written since the last call."""
    written, connection.written = connection.written, []
    return [parse(message) for message in written]


def pushes(connection: RecordingConnection, kind: str) -> list[JsonValue]:
    """Return the pushes of one kind written since the last call."""
    found = [object_at(document, "push") for document in taken(connection) if "push" in document]
    return [push[kind] for push in found if kind in push]


def users(pushes: list[JsonValue]) -> list[JsonValue]:
    """Return the users of the joins or leaves."""
    return [dig(one, "info", "user") for one in pushes]


# who joins and leaves


@pytest.mark.parametrize("channel", ["people:a", "room:a"])
async def test_joins_and_leaves_reach_every_server(world: World, channel: str) -> None:
    """Subscribers who asked for them get joins and leaves, with and without history."""
    _, watcher = await world.subscribed(0, channel, "alice", join_leave=True)
    _, other = await world.subscribed(0, channel, "dave")
    watcher.take()
    bob, _ = await world.subscribed(1, channel, "bob", join_leave=True)
    carol, _ = await world.subscribed(1, channel, "carol")
    assert users(pushes(watcher, "join")) == ["bob", "carol"]
    send(bob, {"id": 3, "unsubscribe": {"channel": channel}})
    carol.on_closed()
    await settle()
    assert users(pushes(watcher, "leave")) == ["bob", "carol"]
    assert pushes(other, "join") == []


async def test_joins_do_not_count_as_publications(world: World) -> None:
    """Joins and leaves have no offset and are in no history."""
    await world.subscribed(0, "room:a", "alice")
    page = await ServerApi(world.nodes[0]).history("room:a", HistoryQuery(-1))
    assert (page.publications, page.position.offset) == ((), 0)


# cache


async def test_the_newest_publication_is_what_is_recovered(world: World) -> None:
    """In cache mode the newest publication is recovered from any position, that of another epoch included."""
    for number in range(20):
        await ServerApi(world.nodes[1]).publish("price:a", Message(b"%d" % number))
    for offset, epoch in ((3, ""), (0, ""), (7, "another")):
        _, connection = await world.subscribed(0, "price:a", recover=True, offset=offset, epoch=epoch)
        [reply] = taken(connection)
        result = object_at(reply, "subscribe")
        assert (result["recovered"], result["offset"]) == (True, 20)
        assert result["publications"] == [{"data": 19, "offset": 20}]


async def test_who_has_the_newest_publication_gets_nothing(world: World) -> None:
    """A client that has the newest publication recovers without publications."""
    position = await ServerApi(world.nodes[1]).publish("price:a", Message(b"1"))
    assert position is not None
    _, connection = await world.subscribed(0, "price:a", recover=True, offset=1, epoch=position.epoch)
    [reply] = taken(connection)
    result = object_at(reply, "subscribe")
    assert result["recovered"] is True
    assert "publications" not in result


@pytest.mark.parametrize("expired", [False, True])
async def test_where_no_value_is_kept_none_is_recovered(world: World, expired: bool) -> None:
    """Without a kept publication, recovery fails and the client is told so."""
    if expired:
        await ServerApi(world.nodes[1]).publish("price:a", Message(b"1"))
        world.clock.now += 61
    _, connection = await world.subscribed(0, "price:a", recover=True)
    [reply] = taken(connection)
    result = object_at(reply, "subscribe")
    assert (result.get("recovered", False), result["was_recovering"]) == (False, True)


# who would rather fail


async def test_a_client_may_refuse_to_begin_anew(world: World) -> None:
    """A client that rejects an unrecovered subscription gets error 112 and no subscription."""
    for number in range(20):
        await ServerApi(world.nodes[1]).publish("chat:a", Message(b"%d" % number))
    session, connection = await world.subscribed(0, "chat:a", recover=True, offset=1, flag=2)
    assert connection.take() == [{"id": 2, "error": {"code": 112, "message": "unrecoverable position"}}]
    assert session.subscriptions == {}
    assert world.nodes[0].hub.channels == {}
    send(session, {"id": 3, "subscribe": {"channel": "chat:a", "recover": True, "offset": 15, "flag": 2}})
    await settle()
    [reply] = taken(connection)
    assert len(objects_at(object_at(reply, "subscribe"), "publications")) == 5


# write delay


async def test_what_waits_is_written_before_the_end_of_a_subscription(world: World) -> None:
    """Delayed publications are delivered before the server ends the subscription."""
    _, connection = await world.subscribed(0, "late:a", "alice")
    connection.take()
    await ServerApi(world.nodes[1]).publish("late:a", Message(b"1"))
    assert connection.take() == []
    await ServerApi(world.nodes[1]).unsubscribe(Connections("alice"), "late:a")
    await settle()
    documents = [object_at(document, "push") for document in taken(connection)]
    assert [next(kind for kind in push if kind != "channel") for push in documents] == ["pub", "unsubscribe"]


# positions


async def test_what_was_lost_unnoticed_in_a_quiet_channel_is_found() -> None:
    """A lost publication is found within two rounds of checks, without another publication."""
    clock, broker = Clock(), ScriptedBroker()
    node = make_node(broker, namespaces=NAMESPACES, clock=clock)
    await broker.start(node)
    session, connection = connected(node)
    send(session, {"id": 2, "subscribe": {"channel": "chat:room"}})
    await answer(broker)
    await ServerApi(node).publish("chat:room", Message(b'"lost"'))
    broker.lose()
    connection.take()
    for _ in range(2):
        clock.now += CHECK_SECONDS + 1
        node.hub.check_quiet_channels()
        await answer(broker)
    assert [dig(one, "data") for one in pushes(connection, "pub")] == ["lost"]


async def test_busy_channels_are_not_checked() -> None:
    """Channels with recent publications are not checked, since their offsets show gaps."""
    clock, broker = Clock(), ScriptedBroker()
    node = make_node(broker, namespaces=NAMESPACES, clock=clock)
    await broker.start(node)
    session, _ = connected(node)
    send(session, {"id": 2, "subscribe": {"channel": "chat:room"}})
    await answer(broker)
    for _ in range(4):
        clock.now += CHECK_SECONDS + 1
        await ServerApi(node).publish("chat:room", Message(b"1"))
        broker.deliver()
        node.hub.check_quiet_channels()
        await settle()
        assert broker.reads == []


async def answer(broker: ScriptedBroker) -> None:
    """Answer the pending read of the history."""
    await settle()
    while broker.reads:
        broker.read(0)
        broker.answer(0)
        await settle()


# presence


async def test_presence_is_renewed_while_a_client_is_here(world: World) -> None:
    """Presence expires unless it is renewed."""
    await world.subscribed(0, "people:a", "alice")
    api = ServerApi(world.nodes[0])
    for _ in range(3):
        world.clock.now += PRESENCE_TTL_SECONDS - 1
        await world.nodes[0].hub.renew_presence()
        assert (await api.presence_stats("people:a")).clients == 1
    world.clock.now += PRESENCE_TTL_SECONDS + 1
    assert (await api.presence_stats("people:a")).clients == 0


async def test_who_leaves_and_comes_back_at_once_is_present(world: World) -> None:
    """A removal does not take the presence that was added after it."""
    session, connection = await world.subscribed(0, "people:a", "alice")
    send(
        session,
        {"id": 3, "unsubscribe": {"channel": "people:a"}},
        {"id": 4, "subscribe": {"channel": "people:a"}},
    )
    await settle()
    assert len(connection.take()) == 3
    assert (await ServerApi(world.nodes[0]).presence_stats("people:a")).clients == 1
    session.on_closed()
    await settle()
    assert (await ServerApi(world.nodes[0]).presence_stats("people:a")).clients == 0


# connections of a user


async def test_a_user_has_no_more_connections_than_the_limit() -> None:
    """One connection more than the limit is closed with 3504; anonymous clients have no limit."""
    node = make_node(namespaces=NAMESPACES, connections_per_user=2)
    token = connection_token(SECRET, "alice")
    (first, _), (_, second) = connected(node, token), connected(node, token)
    _, third = connected(node, token)
    assert third.closed_by is not None
    assert (third.closed_by.code, second.closed_by) == (3504, None)
    assert len(node.sessions) == 2
    first.on_closed()
    _, fourth = connected(node, token)
    assert fourth.closed_by is None
    assert all(connected(node)[1].closed_by is None for _ in range(3))
