"""Waits of the channels of an ordered namespace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from realtime_server.codes import INSUFFICIENT_STATE
from realtime_server.core.channels import channel as channels
from realtime_server.core.channels import hub, ordered
from realtime_server.core.model.channel_options import ChannelOptions
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.grant import PLAIN
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.core.model.values import HistoryOptions
from realtime_server.core.node import Node
from realtime_server.core.ports.api import Message
from realtime_server.core.server_api import ServerApi
from tests.kit.ordered_broker import OrderedBroker
from tests.kit.room_clients import Client
from tests.kit.server_doubles import Clock, make_node

ROOMS = ("rooms:0", "rooms:1", "rooms:2")
OPTIONS = ChannelOptions(history=HistoryOptions(1000, 60.0), recovery=True, ordered=True)


class World:
    """Server with a broker and a client in the first two rooms."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.broker = OrderedBroker()
        self.node: Node = make_node(self.broker, namespaces=Namespaces([("rooms", OPTIONS)]), clock=self.clock)
        self.client = Client(self.node, ROOMS[:2], [])

    @property
    def waits(self) -> bool:
        """True while the channels wait."""
        found = [one for one in self.node.hub.channels.values() if isinstance(one, ordered.OrderedChannel)]
        assert len(found) >= 2
        return found[0].order.waiting

    async def publish(self, *rooms: int) -> None:
        """Publish the number of each room in it."""
        for room in rooms:
            await ServerApi(self.node).publish(ROOMS[room], Message(b"%d" % room))

    def deliver(self) -> None:
        """Deliver what is on the way."""
        while self.broker.on_the_way:
            self.broker.deliver()

    async def answer_all(self) -> int:
        """Answer all calls; return their number."""
        answered = 0
        await settle()
        while self.broker.calls:
            await self.broker.read(0)
            self.broker.answer(0)
            answered += 1
            await settle()
        return answered

    def received(self) -> list[bytes]:
        """Return what the client has received."""
        self.client.receive(1000)
        return self.client.received

    def check_quiet_channels(self) -> None:
        """Have channels checked that have been quiet for long enough."""
        for _ in range(2):
            self.clock.now += hub.CHECK_SECONDS + 1
            self.node.hub.check_quiet_channels()


async def settle() -> None:
    """Run every task until it waits for the broker."""
    for _ in range(30):
        await asyncio.sleep(0)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """Connect a client, and let no time pass."""
    monkeypatch.setattr(ordered, "ARRIVAL_SECONDS", 0)
    monkeypatch.setattr(ordered, "RETRY_SECONDS", 0)
    made = World()
    await made.broker.start(made.node)
    made.client.connect()
    await made.answer_all()
    await made.publish(0, 1)
    made.deliver()
    assert made.received() == [b"0", b"1"]
    yield made
    made.client.cut()
    await settle()
    await made.node.stop()


async def test_a_check_of_quiet_channels_holds_nothing_up(world: World) -> None:
    """What is published meanwhile is delivered at once."""
    world.check_quiet_channels()
    await settle()
    await world.broker.read(0)
    assert not world.waits
    await world.publish(1)
    world.deliver()
    assert world.received() == [b"0", b"1", b"1"]
    assert await world.answer_all() == 2
    assert not world.waits


async def test_a_publication_that_arrives_after_its_history_was_read_is_no_loss(world: World) -> None:
    """It may be on its way."""
    await world.publish(0)
    world.check_quiet_channels()
    await settle()
    for _ in range(2):
        await world.broker.read(0)
        world.broker.answer(0)
    world.deliver()
    await settle()
    assert not world.waits
    assert world.broker.calls == []
    assert world.received() == [b"0", b"1", b"0"]


async def test_a_loss_without_a_sign_is_found(world: World) -> None:
    """A channel that stays behind its history is filled."""
    await world.publish(0)
    world.broker.on_the_way.clear()
    world.check_quiet_channels()
    await world.answer_all()
    assert not world.waits
    assert world.received() == [b"0", b"1", b"0"]


async def test_a_gap_holds_all_channels_up(world: World) -> None:
    """A later publication of another channel is delivered after the one that was missing."""
    await world.publish(0, 0, 1)
    world.broker.on_the_way.popleft()
    world.deliver()
    assert world.waits
    assert world.received() == [b"0", b"1"]
    await world.answer_all()
    assert world.received() == [b"0", b"1", b"0", b"0", b"1"]


async def test_what_does_not_fit_is_read_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wait ends with nothing missing, however much has arrived."""
    monkeypatch.setattr(channels, "MAX_PUBLICATIONS", 2)
    world.broker.cut_link()
    await world.publish(0)
    world.broker.restore_link()
    world.broker.report_gap()
    await settle()
    await world.publish(0, 1, 0, 0, 0)
    world.deliver()
    assert world.received() == [b"0", b"1"]
    await world.answer_all()
    assert world.received() == [b"0", b"1", b"0", b"0", b"1", b"0", b"0", b"0"]


async def test_reads_are_repeated_while_the_backplane_is_away(world: World) -> None:
    """Nothing is delivered before all have succeeded."""
    world.broker.cut_link()
    await world.publish(1, 0)
    world.broker.restore_link()
    world.broker.report_gap()
    await settle()
    assert len(world.broker.calls) == 2
    world.broker.calls.pop().answer.set_exception(BackplaneError("away"))
    await settle()
    assert world.waits
    assert world.received() == [b"0", b"1"]
    await world.answer_all()
    assert world.received() == [b"0", b"1", b"1", b"0"]


async def test_a_loss_that_cannot_be_filled_ends_connections_before_anything_else_is_delivered(world: World) -> None:
    """The position of a later publication would hide the loss."""
    world.broker.cut_link()
    await world.publish(0)
    await world.broker.remove_history(ROOMS[0])
    await world.publish(1)
    world.broker.restore_link()
    world.broker.report_gap()
    await world.answer_all()
    assert world.client.wire is not None
    assert world.client.wire.closed_by == INSUFFICIENT_STATE
    assert world.received() == [b"0", b"1"]


async def test_a_channel_that_the_server_subscribes_begins_in_order(world: World) -> None:
    """What was published in it before is not delivered after a later publication of another channel."""
    assert world.client.wire is not None
    session = world.client.wire.session
    assert session is not None
    subscribing = asyncio.create_task(
        world.node.subscriptions.subscribe_server_side(session, ROOMS[2], PLAIN, since=None)
    )
    await settle()
    await world.broker.read(0)
    await world.publish(2, 0)
    world.deliver()
    await world.answer_all()
    await subscribing
    await world.publish(2, 1)
    world.deliver()
    assert world.received() == [b"0", b"1", b"0", b"2", b"1"]


async def test_a_channel_that_nobody_uses_is_not_in_the_order_any_more(world: World) -> None:
    """The order would keep it for ever, and have it wait."""
    found = [one for one in world.node.hub.channels.values() if isinstance(one, ordered.OrderedChannel)]
    order = found[0].order
    assert {*order.members} == {*found}
    world.client.cut()
    await settle()
    assert world.node.hub.channels == {}
    assert not order.members
