"""What every presence store does."""

from __future__ import annotations

import asyncio

import pytest

from realtime_server.core.model.values import ClientInfo, PresenceStats
from tests.contract.backplane.conftest import Server

LONG = 60.0


def info(client: str, user: str = "ann", connection: bytes | None = None, channel: bytes | None = None) -> ClientInfo:
    """Who a connection is."""
    return ClientInfo(user, client, connection, channel)


async def test_nobody_is_there_at_first(server: Server) -> None:
    """A channel that nobody ever subscribed to is empty."""
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
    """Also with an empty user, and with infos that are absent or large."""
    await server.presence.add("room", "c1", who, LONG)
    assert await server.presence.members("room") == {"c1": who}
    assert await server.presence.stats("room") == PresenceStats(1, 1)


async def test_channels_are_apart(server: Server) -> None:
    """Who is in one is not in the other."""
    await server.presence.add("one", "c1", info("c1"), LONG)
    await server.presence.add("two", "c2", info("c2"), LONG)
    assert set(await server.presence.members("one")) == {"c1"}


async def test_users_are_counted_once(server: Server) -> None:
    """However many connections they have, and however often those are renewed."""
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
    """Another user too: the old one is not counted any more."""
    await server.presence.add("room", "c1", info("c1", "ann"), LONG)
    await server.presence.add("room", "c1", info("c1", "bob", b"{}"), LONG)
    assert await server.presence.members("room") == {"c1": info("c1", "bob", b"{}")}
    assert await server.presence.stats("room") == PresenceStats(1, 1)


async def test_who_is_not_renewed_is_gone(server: Server) -> None:
    """Members and counts agree, and the others stay."""
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
    """A server that died leaves nobody behind."""
    for number in range(300):
        await server.presence.add("room", f"c{number}", info(f"c{number}", f"u{number}"), 0.2)
    await asyncio.sleep(0.3)
    assert await server.presence.members("room") == {}
    assert await server.presence.stats("room") == PresenceStats(0, 0)


async def test_many_are_renewed_by_one_call(server: Server) -> None:
    """Those that are there, those that are not yet, and those whose user has changed."""
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
    """They are dropped a part at a time, so that nobody has to wait; their users are counted for a moment longer."""
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
