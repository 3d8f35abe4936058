"""Presence that servers write, and leaves of the clients of a dead server."""

from __future__ import annotations

import asyncio
from collections.abc import Container, Sequence
from dataclasses import dataclass, field

import pytest

from realtime_server.backplane.memory import MemoryBroker
from realtime_server.backplane.memory_presence import MemoryPresence
from realtime_server.codes import UnsubscribeCode
from realtime_server.core.channels.channel import Channel
from realtime_server.core.channels.presence import (
    LATE_SECONDS,
    PRESENCE_RENEW_SECONDS,
    PRESENCE_TTL_SECONDS,
    RENEWED_TOGETHER,
    ROUNDS_IN_TIME,
    ChannelPresence,
)
from realtime_server.core.model.channel_options import ChannelOptions, SlowConsumer
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.publication import Content, Joined, Left, unpack
from realtime_server.core.model.subscription import Subscription
from realtime_server.core.model.values import ClientInfo, Publication
from realtime_server.core.ports.backplane import Renewal
from realtime_server.core.ports.client import Codec, Connection
from realtime_server.core.tasks import TaskGroup
from tests.kit.server_doubles import WIRE, Clock, RecordingConnection


@dataclass(eq=False)
class Member:
    """Subscriber with one connection in one channel."""

    info: ClientInfo
    emits: bool = True
    subscribed: bool = True
    codec: Codec = WIRE
    connection: Connection = field(default_factory=RecordingConnection)

    @property
    def client(self) -> str:
        """Id of the client."""
        return self.info.client

    def client_info(self, channel_info: bytes | None = None) -> ClientInfo:
        """Not needed here."""
        raise NotImplementedError(channel_info)

    def has_subscription(self, channel: str) -> bool:
        """Not needed here."""
        raise NotImplementedError(channel)

    def begin_subscription(self, subscription: Subscription) -> bool:
        """Not needed here."""
        raise NotImplementedError(subscription)

    def info_in(self, channel: str) -> ClientInfo | None:
        """Return the info while subscribed."""
        assert channel == "room"
        return self.info if self.subscribed else None

    def emits_join_leave(self, channel: str) -> bool:
        """Return what the test has set."""
        assert channel == "room"
        return self.emits

    def end_subscription(self, channel: str, code: UnsubscribeCode) -> None:
        """Not needed here."""
        raise NotImplementedError(channel, code)

    def lags(self) -> bool:
        """Not needed here."""
        raise NotImplementedError

    def hold(self, channel: str, policy: SlowConsumer, content: Content, offset: int) -> None:
        """Not needed here."""
        raise NotImplementedError(channel, policy, content, offset)


@dataclass
class Observer:
    """Receiver of broker events that records joins (+) and leaves (-)."""

    events: list[str] = field(default_factory=list)

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        """Record a join or leave."""
        event = unpack(publication.encoded)
        assert isinstance(event, Joined | Left), (channel, epoch)
        self.events.append(("+" if isinstance(event, Joined) else "-") + event.info.client)

    def on_control(self, message: bytes) -> None:
        """Not needed here."""
        raise NotImplementedError(message)

    def on_interrupted(self) -> None:
        """Do nothing: there is no link."""

    def on_gap(self) -> None:
        """Do nothing: there is no link."""


class AwayPresence(MemoryPresence):
    """Presence store that fails while `away`."""

    away = False

    async def renew(
        self, channel: str, clients: Sequence[ClientInfo], ttl_seconds: float, announced: Container[str] = ()
    ) -> Renewal:
        """Renew, or fail while away."""
        if self.away:
            raise BackplaneError("away")
        return await super().renew(channel, clients, ttl_seconds, announced)

    async def remove(self, channel: str, client: str) -> bool:
        """Remove, or fail while away."""
        if self.away:
            raise BackplaneError("away")
        return await super().remove(channel, client)


class World:
    """Servers with one member each and a shared store; `told` receives what is published."""

    def __init__(self, servers: int) -> None:
        self.clock = Clock()
        self.broker = MemoryBroker(clock=self.clock)
        self.store = AwayPresence(self.broker, clock=self.clock)
        self.observer = Observer()
        self.members: dict[str, Member] = {}
        """Members by id, of all servers."""
        self.channels = [Channel("room", ChannelOptions(presence=True)) for _ in range(servers)]
        self.servers = [
            ChannelPresence(
                self.store, self.broker, TaskGroup(pytest.fail), self.clock, {"room": channel}, self.members.get
            )
            for channel in self.channels
        ]

    async def start(self) -> None:
        """Add the servers' members, and renew until all servers may publish leaves."""
        await self.broker.start(self.observer)
        await self.broker.subscribe("room")
        for number in range(len(self.servers)):
            await self.let_in(number, f"c{number}")
        await self.renew_for(ROUNDS_IN_TIME + 1)

    async def let_in(self, server: int, client: str, *, emits: bool = True) -> Member:
        """Add a member."""
        member = self.members[client] = Member(ClientInfo("ann", client), emits)
        self.channels[server].add(member, None)
        await self.servers[server].add("room", member.info, emits_join_leave=emits)
        return member

    async def renew(self, *servers: int) -> None:
        """Renew on these servers, and run all tasks."""
        for server in servers:
            await self.servers[server].renew()
        for _ in range(10):
            await asyncio.sleep(0)

    async def renew_for(self, rounds: int, *servers: int) -> None:
        """Renew on these servers, or on all, for a number of intervals."""
        for _ in range(rounds):
            self.clock.now += PRESENCE_RENEW_SECONDS
            await self.renew(*(servers or range(len(self.servers))))

    async def clients(self) -> set[str]:
        """Return the ids of those present."""
        return set(await self.store.members("room"))


ROUNDS_TO_EXPIRE = int(PRESENCE_TTL_SECONDS / PRESENCE_RENEW_SECONDS)


async def test_the_leave_of_a_dead_servers_member_is_published_once() -> None:
    """Another server publishes the leave with its first renewal after the expiry."""
    world = World(3)
    await world.start()
    await world.renew_for(ROUNDS_TO_EXPIRE - 1, 1, 2)
    assert (await world.clients(), world.observer.events) == ({"c0", "c1", "c2"}, [])
    await world.renew_for(ROUNDS_TO_EXPIRE, 1, 2)
    assert (await world.clients(), world.observer.events) == ({"c1", "c2"}, ["-c0"])


async def test_nothing_is_told_of_one_that_does_not_emit() -> None:
    """A member without joins and leaves expires silently."""
    world = World(2)
    await world.start()
    await world.let_in(0, "quiet", emits=False)
    await world.renew_for(2 * ROUNDS_TO_EXPIRE, 1)
    assert (await world.clients(), world.observer.events) == ({"c1"}, ["-c0"])


async def test_many_members_of_a_dead_server_leave_one_by_one() -> None:
    """All members of a dead server leave, also when a survivor renews in several calls."""
    world = World(2)
    await world.start()
    for number in range(RENEWED_TOGETHER + 20):
        await world.let_in(0, f"dead{number}")
        await world.let_in(1, f"live{number}")
    await world.renew_for(2 * ROUNDS_TO_EXPIRE, 1)
    assert sorted(world.observer.events) == sorted(["-c0", *(f"-dead{n}" for n in range(RENEWED_TOGETHER + 20))])


async def test_after_an_outage_nobody_has_left() -> None:
    """After an outage all servers are late, so that none declares the others' members gone."""
    world = World(2)
    await world.start()
    world.store.away = True
    for _ in range(2 * ROUNDS_TO_EXPIRE):
        world.clock.now += PRESENCE_RENEW_SECONDS
        for server in world.servers:
            with pytest.raises(BackplaneError):
                await server.renew()
    world.store.away = False
    assert await world.clients() == set()
    for server in world.servers:
        server.note_gap()
    await world.renew(0)
    world.clock.now += PRESENCE_RENEW_SECONDS - 1
    await world.renew(1)
    await world.renew_for(4)
    assert (await world.clients(), world.observer.events) == ({"c0", "c1"}, [])


async def test_a_server_that_stood_still_does_not_take_the_others_for_dead() -> None:
    """A server that was suspended, without losing a link, does not declare the others' members gone."""
    world = World(2)
    await world.start()
    world.clock.now += LATE_SECONDS + PRESENCE_TTL_SECONDS
    await world.renew(0, 1)
    await world.renew_for(4)
    assert (await world.clients(), world.observer.events) == ({"c0", "c1"}, [])


async def test_a_server_that_was_away_longer_than_its_members_lived_says_that_they_are_back() -> None:
    """After its members' leaves were published a server publishes joins for its own members alone."""
    world = World(2)
    await world.start()
    await world.renew_for(2 * ROUNDS_TO_EXPIRE, 1)
    assert world.observer.events == ["-c0"]
    await world.renew_for(3, 0, 1)
    assert (await world.clients(), world.observer.events) == ({"c0", "c1"}, ["-c0", "+c0"])


async def test_a_late_server_does_not_say_that_its_own_members_have_left() -> None:
    """Members that a late server has not renewed yet are not declared gone by itself."""
    world = World(1)
    await world.start()
    for number in range(3 * RENEWED_TOGETHER):
        await world.let_in(0, f"c{number + 1}")
    for index in range(3):
        await world.store.add("room", f"c{index * RENEWED_TOGETHER}", ClientInfo("ann", f"c{index}"), 1, announced=True)
    await world.renew_for(1)
    assert world.observer.events == []
    assert len(await world.clients()) == 3 * RENEWED_TOGETHER + 1


# who goes with a word


async def unsubscribe(world: World, member: Member) -> None:
    """Unsubscribe a member of the first server."""
    world.channels[0].remove(member)
    member.subscribed = False
    world.servers[0].remove("room", member, Left(member.info))
    await world.renew()


async def test_another_session_with_the_same_id_stays() -> None:
    """It goes on in place of the one that leaves."""
    world = World(1)
    await world.start()
    before = await world.let_in(0, "c9")
    after = await world.let_in(0, "c9")
    await unsubscribe(world, before)
    assert await world.clients() == {"c0", "c9"}
    await unsubscribe(world, after)
    assert await world.clients() == {"c0"}


async def test_a_member_is_removed_by_the_id_that_it_had() -> None:
    """Also where it gets another one before that is done."""
    world = World(1)
    await world.start()
    member = await world.let_in(0, "c9")
    world.servers[0].remove("room", member, None)
    member.info = ClientInfo("ann", "c10")
    await world.renew()
    assert await world.clients() == {"c0"}


async def test_who_unsubscribes_has_left_at_once() -> None:
    """The leave is published at once, and once."""
    world = World(2)
    await world.start()
    member = await world.let_in(0, "c9")
    await unsubscribe(world, member)
    assert (await world.clients(), world.observer.events) == ({"c0", "c1"}, ["-c9"])
    await world.renew_for(2 * ROUNDS_TO_EXPIRE)
    assert world.observer.events == ["-c9"]


async def test_who_unsubscribes_while_the_store_is_away_is_told_of_once() -> None:
    """The leave is published when the member has expired in the store, and once."""
    world = World(2)
    await world.start()
    member = await world.let_in(0, "c9")
    world.store.away = True
    await unsubscribe(world, member)
    world.store.away = False
    assert world.observer.events == []
    await world.renew_for(2 * ROUNDS_TO_EXPIRE)
    assert (await world.clients(), world.observer.events) == ({"c0", "c1"}, ["-c9"])


async def test_who_unsubscribes_after_its_leave_was_published_is_not_told_of_twice() -> None:
    """A leave that another server has published is not published again on unsubscribe."""
    world = World(2)
    await world.start()
    member = await world.let_in(0, "c9")
    await world.renew_for(2 * ROUNDS_TO_EXPIRE, 1)
    assert sorted(world.observer.events) == ["-c0", "-c9"]
    await unsubscribe(world, member)
    assert sorted(world.observer.events) == ["-c0", "-c9"]
