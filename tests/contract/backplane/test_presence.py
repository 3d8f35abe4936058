"""Contract of every presence store."""

from __future__ import annotations

import asyncio

import pytest

from realtime_server.core.model.values import ClientInfo, PresenceStats
from tests.contract.backplane.conftest import Connect, Server

LONG = 60.0


def info(client: str, user: str = "ann", connection: bytes | None = None, channel: bytes | None = None) -> ClientInfo:
    """Return the info of a connection."""
    return ClientInfo(user, client, connection, channel)


async def test_nobody_is_there_at_first(server: Server) -> None:
    """An unused channel is empty."""
    assert await server.presence.members("room") == {}
    assert await server.presence.stats("room") == PresenceStats(0, 0)


@pytest.mark.parametrize(
    "who",
    [
        info("c1"),
        info("c1", user=""),
        info("c1", user="a:b 17:ü✓"),
        info("c1", connection=b'{"name":"Ann"}', channel=b"[1,2]"),
        info("c1", connection=b'"-"'),
        info("c1", channel=b"null"),
        info("c1", connection=b"", channel=b"0" * 100_000),
    ],
)
async def test_a_member_comes_back_as_it_was_added(server: Server, who: ClientInfo) -> None:
    """Users may be empty, and infos absent or large."""
    await server.presence.add("room", "c1", who, LONG)
    assert await server.presence.members("room") == {"c1": who}
    assert await server.presence.stats("room") == PresenceStats(1, 1)


async def test_channels_are_apart(server: Server) -> None:
    await server.presence.add("one", "c1", info("c1"), LONG)
    await server.presence.add("two", "c2", info("c2"), LONG)
    assert set(await server.presence.members("one")) == {"c1"}


async def test_users_are_counted_once(server: Server) -> None:
    """A user counts once, whatever the number of its connections and renewals."""
    for _ in range(3):
        await server.presence.add("room", "a1", info("a1", "ann"), LONG)
        await server.presence.add("room", "a2", info("a2", "ann"), LONG)
        await server.presence.add("room", "b1", info("b1", "bob"), LONG)
    assert await server.presence.stats("room") == PresenceStats(3, 2)
    await server.presence.remove("room", "a1")
    assert await server.presence.stats("room") == PresenceStats(2, 2)
    await server.presence.remove("room", "a2")
    await server.presence.remove("room", "a2")
    assert await server.presence.stats("room") == PresenceStats(1, 1)
    await server.presence.remove("room", "b1")
    assert await server.presence.stats("room") == PresenceStats(0, 0)


async def test_a_renewal_replaces_the_info(server: Server) -> None:
    """A changed user replaces the former one in the counts."""
    await server.presence.add("room", "c1", info("c1", "ann"), LONG)
    await server.presence.add("room", "c1", info("c1", "bob", b"{}"), LONG)
    assert await server.presence.members("room") == {"c1": info("c1", "bob", b"{}")}
    assert await server.presence.stats("room") == PresenceStats(1, 1)


async def test_who_is_not_renewed_is_gone(server: Server) -> None:
    """Members and counts agree, and other members stay."""
    await server.presence.add("room", "gone", info("gone", "ann"), 0.3)
    await server.presence.add("room", "stays", info("stays", "bob"), 0.3)
    await server.presence.add("room", "long", info("long", "cy"), LONG)
    await asyncio.sleep(0.2)
    await server.presence.add("room", "stays", info("stays", "bob"), 0.3)
    assert await server.presence.stats("room") == PresenceStats(3, 3)
    await asyncio.sleep(0.2)
    assert await server.presence.stats("room") == PresenceStats(2, 2)
    assert set(await server.presence.members("room")) == {"stays", "long"}


async def test_a_channel_empties_by_itself(server: Server) -> None:
    """The members of a dead server expire."""
    for number in range(300):
        await server.presence.add("room", f"c{number}", info(f"c{number}", f"u{number}"), 0.2)
    await asyncio.sleep(0.3)
    assert await server.presence.members("room") == {}
    assert await server.presence.stats("room") == PresenceStats(0, 0)


async def test_many_are_renewed_by_one_call(server: Server) -> None:
    """Existing members, new ones, and those with a changed user are renewed."""
    await server.presence.add("room", "c0", info("c0", "ann"), 0.3)
    await server.presence.add("room", "c1", info("c1", "bob"), 0.3)
    await server.presence.add("room", "gone", info("gone", "cy"), 0.3)
    renewed = [info("c0", "ann"), info("c1", "ann", b"{}"), *(info(f"c{n}", f"u{n}") for n in range(2, 100))]
    await server.presence.renew("room", renewed, LONG)
    assert await server.presence.stats("room") == PresenceStats(101, 100)
    await asyncio.sleep(0.4)
    assert await server.presence.members("room") == {one.client: one for one in renewed}
    assert await server.presence.stats("room") == PresenceStats(100, 99)


async def test_of_very_many_that_expire_none_is_counted(server: Server) -> None:
    """Expired members are removed in parts; their users may be counted a moment longer."""
    for start in range(0, 4000, 500):
        numbers = range(start, start + 500)
        await asyncio.gather(*(server.presence.add("room", f"c{n}", info(f"c{n}", f"u{n}"), 1.5) for n in numbers))
    await server.presence.add("room", "stays", info("stays", "ann"), LONG)
    await asyncio.sleep(2)
    counted = [await server.presence.stats("room") for _ in range(5)]
    assert [stats.clients for stats in counted] == [1] * 5
    assert counted[-1].users == 1
    assert set(await server.presence.members("room")) == {"stays"}


async def test_many_can_come_and_go_at_once(server: Server) -> None:
    """The counts are right afterwards."""
    names = [f"c{number}" for number in range(200)]
    await asyncio.gather(*(server.presence.add("room", name, info(name, name[-1]), LONG) for name in names))
    assert await server.presence.stats("room") == PresenceStats(200, 10)
    await asyncio.gather(*(server.presence.remove("room", name) for name in names if name[-1] != "7"))
    assert await server.presence.stats("room") == PresenceStats(20, 1)


# who leaves without a word


def leaves(*clients: str) -> dict[str, bytes]:
    """Return the leaves to publish for departed members."""
    return {client: f"left {client}".encode() for client in clients}


async def departed(server: Server) -> set[str]:
    """Return the members whose leave is to be published."""
    return {one.client for one in (await server.presence.renew("room", [], LONG)).departed}


async def test_of_an_announced_connection_that_expires_the_leave_is_published_once(server: Server) -> None:
    """The leave has the info, and is published by the finder, after the presence has ended."""
    await server.broker.subscribe("room")
    ann = info("gone", "ann", b'{"name":"Ann"}')
    await server.presence.add("room", "gone", ann, 0.3, announced=True)
    await server.presence.add("room", "quiet", info("quiet"), 0.3)
    await server.presence.add("room", "stays", info("stays"), LONG, announced=True)
    await asyncio.sleep(0.4)
    assert set(await server.presence.members("room")) == {"stays"}
    assert await server.presence.stats("room") == PresenceStats(1, 1)
    for _ in range(2):
        assert (await server.presence.renew("room", [info("stays")], LONG, {"stays"})).departed == (ann,)
    await asyncio.gather(*(server.presence.publish_leaves("room", leaves("gone", "stays")) for _ in range(5)))
    assert await departed(server) == set()
    await server.broker.publish("room", b"end", None)
    await server.seen.until_arrived(2)
    assert server.seen.encoded("room") == [b"left gone", b"end"]


async def test_of_the_last_one_in_a_channel_the_leave_is_published_too(server: Server) -> None:
    """The channel's entries exist without renewals of others."""
    await server.broker.subscribe("room")
    await server.presence.add("room", "gone", info("gone"), 2, announced=True)
    await asyncio.sleep(2.1)
    assert await departed(server) == {"gone"}
    await server.presence.publish_leaves("room", leaves("gone"))
    assert (await server.seen.until_arrived(1))[0].publication.encoded == b"left gone"


async def test_who_is_renewed_late_has_not_left(server: Server) -> None:
    """A late renewal before the leave is published prevents it."""
    await server.broker.subscribe("room")
    await server.presence.add("room", "stays", info("stays"), LONG)
    await server.presence.add("room", "late", info("late"), 0.2, announced=True)
    await server.presence.add("room", "again", info("again"), 0.2, announced=True)
    await asyncio.sleep(0.3)
    assert await departed(server) == {"late", "again"}
    renewal = await server.presence.renew("room", [info("late")], LONG, {"late"})
    assert (renewal.returned, {one.client for one in renewal.departed}) == ((), {"again"})
    await server.presence.add("room", "again", info("again"), LONG, announced=True)
    await server.presence.publish_leaves("room", leaves("late", "again"))
    await server.broker.publish("room", b"end", None)
    await server.seen.until_arrived(1)
    assert server.seen.encoded("room") == [b"end"]
    assert set(await server.presence.members("room")) == {"stays", "late", "again"}


async def test_a_leave_is_found_as_long_as_others_stay(server: Server) -> None:
    """However late somebody looks."""
    await server.presence.add("room", "stays", info("stays"), LONG)
    await server.presence.add("room", "late", info("late"), 0.1, announced=True)
    await asyncio.sleep(0.5)
    assert await departed(server) == {"late"}


async def test_who_is_renewed_after_its_leave_was_published_is_told_so_once(server: Server) -> None:
    """The caller can then publish its return."""
    await server.presence.add("room", "stays", info("stays"), LONG)
    await server.presence.add("room", "late", info("late"), 0.2, announced=True)
    await asyncio.sleep(0.3)
    assert await departed(server) == {"late"}
    await server.presence.publish_leaves("room", leaves("late"))
    for returned in (("late",), ()):
        renewal = await server.presence.renew("room", [info("late"), info("new")], 0.3, {"late", "new"})
        assert renewal.returned == returned
    await asyncio.sleep(0.4)
    assert await departed(server) == {"late", "new"}


async def test_who_goes_with_a_word_does_not_depart(server: Server) -> None:
    """`remove` returns False when the leave was published before, as for one that returned after its expiry."""
    await server.presence.add("room", "stays", info("stays"), LONG)
    for client in ("in-time", "expired", "published"):
        await server.presence.add("room", client, info(client), 0.3, announced=True)
    assert await server.presence.remove("room", "in-time")
    await asyncio.sleep(0.4)
    assert await departed(server) == {"expired", "published"}
    await server.presence.publish_leaves("room", leaves("published"))
    assert await server.presence.remove("room", "expired")
    assert not await server.presence.remove("room", "published")
    assert await server.presence.remove("room", "published")
    assert await server.presence.remove("room", "unknown")
    assert await departed(server) == set()


async def test_who_is_not_announced_any_more_does_not_depart(server: Server) -> None:
    """The last renewal decides."""
    await server.presence.add("room", "stays", info("stays"), LONG)
    await server.presence.add("room", "c1", info("c1"), 0.3, announced=True)
    await server.presence.add("room", "c1", info("c1"), 0.3)
    await asyncio.sleep(0.4)
    assert await departed(server) == set()


async def test_of_many_that_depart_each_leave_is_published(server: Server) -> None:
    """Departed members are found in parts."""
    await server.broker.subscribe("room")
    names = {f"c{number}" for number in range(1000)}
    everybody = [info(name, connection=b"x" * 100) for name in names]
    await server.presence.add("room", "stays", info("stays"), LONG)
    await server.presence.renew("room", everybody, 0.5, names)
    await asyncio.sleep(0.6)
    while found := await departed(server):
        await server.presence.publish_leaves("room", leaves(*found))
    await server.seen.until_arrived(len(names))
    assert sorted(server.seen.encoded("room")) == sorted(leaves(*names).values())


async def test_of_several_servers_one_publishes(together: Connect) -> None:
    """All callers find it."""
    async with together() as one, together() as other:
        for server in (one, other):
            await server.broker.subscribe("room")
        await one.presence.add("room", "stays", info("stays"), LONG)
        async with together() as dies:
            await dies.presence.add("room", "gone", info("gone"), 0.3, announced=True)
        await asyncio.sleep(0.4)
        for server in (one, other):
            assert await departed(server) == {"gone"}
        await asyncio.gather(*(server.presence.publish_leaves("room", leaves("gone")) for server in (one, other)))
        await one.broker.publish("room", b"end", None)
        for server in (one, other):
            await server.seen.until_arrived(2)
            assert server.seen.encoded("room") == [b"left gone", b"end"]
