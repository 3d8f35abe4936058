"""Memory presence with a clock that the test sets; tests/contract covers what all drivers do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from realtime_server.backplane.memory import MemoryBroker
from realtime_server.backplane.memory_presence import FOUND_WITHIN_SECONDS, REMEMBERED, MemoryPresence
from realtime_server.core.model.values import ClientInfo, PresenceStats
from realtime_server.core.tasks import run_now


class Clock:
    """Clock that the test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


async def test_presence_expires_by_the_clock() -> None:
    """A renewal extends the presence from the time of the renewal."""
    clock = Clock()
    presence = MemoryPresence(MemoryBroker(clock=clock), clock=clock)
    await presence.add("room", "c1", ClientInfo("ann", "c1"), 60)
    await presence.add("room", "c2", ClientInfo("ann", "c2"), 60)
    clock.now += 30
    await presence.add("room", "c1", ClientInfo("ann", "c1"), 60)
    clock.now += 30
    assert set(await presence.members("room")) == {"c1"}
    clock.now += 30
    assert await presence.stats("room") == PresenceStats(0, 0)


CLIENTS = ("a1", "a2", "b1", "c1")


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(CLIENTS), st.integers(1, 50), st.sampled_from(("ann", "bob"))),
            st.sampled_from(CLIENTS),
            st.integers(1, 30),
        ),
        max_size=60,
    )
)
def test_counts_are_those_of_the_members(steps: list[tuple[str, int, str] | str | int]) -> None:
    """Counts match the members after any sequence of additions, renewals, changes of user, removals and expiries."""
    clock = Clock()
    presence = MemoryPresence(MemoryBroker(clock=clock), clock=clock)
    there: dict[str, tuple[float, str]] = {}
    for step in steps:
        if isinstance(step, int):
            clock.now += step
        elif isinstance(step, str):
            there.pop(step, None)
            run_now(presence.remove("room", step))
        else:
            client, ttl, user = step
            there[client] = (clock.now + ttl, user)
            run_now(presence.add("room", client, ClientInfo(user, client), ttl))
        there = {client: entry for client, entry in there.items() if entry[0] > clock.now}
        members = run_now(presence.members("room"))
        assert {client: info.user for client, info in members.items()} == {c: user for c, (_, user) in there.items()}
        assert run_now(presence.stats("room")) == PresenceStats(len(there), len({user for _, user in there.values()}))


async def test_a_leave_that_nobody_found_for_long_is_not_published_any_more() -> None:
    """A leave that is found long after the expiry is not published."""
    clock = Clock()
    presence = MemoryPresence(MemoryBroker(clock=clock), clock=clock)
    for client in ("c1", "c2"):
        await presence.add("room", client, ClientInfo("ann", client), 60, announced=True)
        clock.now += 10
    clock.now += 50
    assert [one.client for one in (await presence.renew("room", [], 60)).departed] == ["c1", "c2"]
    clock.now += FOUND_WITHIN_SECONDS - 5
    assert [one.client for one in (await presence.renew("room", [], 60)).departed] == ["c2"]


async def test_of_very_many_leaves_only_the_newest_are_remembered() -> None:
    """The record of published leaves is bounded in a channel that lives for ever."""
    clock = Clock()
    presence = MemoryPresence(MemoryBroker(clock=clock), clock=clock)
    names = [f"c{number}" for number in range(REMEMBERED + 1)]
    infos = [ClientInfo("ann", name) for name in names]
    await presence.renew("room", infos, 60, set(names))
    clock.now += 61
    await presence.renew("room", [], 60)
    await presence.publish_leaves("room", dict.fromkeys(names, b""))
    assert (await presence.renew("room", infos, 60, set(names))).returned == tuple(names[1:])
