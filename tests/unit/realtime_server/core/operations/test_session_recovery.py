"""Keeping the states of sessions that may come back."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from realtime_server.backplane.memory_sessions import MemorySessionStore
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.session_state import SessionState
from realtime_server.core.operations.session_recovery import SessionRecovery
from realtime_server.core.ports.session_store import Kept
from realtime_server.core.tasks import TaskGroup
from tests.kit.server_doubles import Clock

ANNA = SessionState("sid", "anna", {})
LATER = SessionState("sid", "anna", {}, b"later")


class Store(MemorySessionStore):
    """Store that can be away, and counts what is written."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(most=10, clock=clock)
        self.away = False
        self.puts = 0

    async def put(self, ident: str, owner: str, state: SessionState, ttl_seconds: float, *, first: bool) -> Kept:
        """Raise while away."""
        self.puts += 1
        await asyncio.sleep(0)
        if self.away:
            raise BackplaneError("away")
        return await super().put(ident, owner, state, ttl_seconds, first=first)

    async def renew(self, owners: Mapping[str, str], ttl_seconds: float) -> Mapping[str, Kept]:
        """Raise while away."""
        if self.away:
            raise BackplaneError("away")
        return await super().renew(owners, ttl_seconds)


class World:
    """Two servers with one store."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = Store(self.clock)
        self.failures = 0
        self.taken: list[str] = []
        self.tasks = TaskGroup(self._fail)
        self.here, self.there = (SessionRecovery(self.store, self.tasks, seconds=120) for _ in range(2))

    def _fail(self) -> None:
        self.failures += 1

    def keep(self, recovery: SessionRecovery, state: SessionState = ANNA) -> None:
        """Keep a session by the id `a`."""
        recovery.keep("a", state, lambda: self.taken.append(state.client))


@pytest.fixture
def world() -> World:
    return World()


async def settle() -> None:
    """Let all writes end."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_session_goes_on_elsewhere(world: World) -> None:
    """The server that had it finds out by its next renewal or change, and leaves the state alone."""
    world.keep(world.here)
    await settle()
    assert await world.there.take("a", "anna") == ANNA
    world.keep(world.there, LATER)
    await settle()
    await world.here.renew()
    assert world.taken == ["sid"]
    world.here.forget("a")
    await settle()
    assert await world.there.take("a", "anna") == LATER


async def test_a_change_shows_that_it_goes_on_elsewhere(world: World) -> None:
    """A change is not written over the state of another connection."""
    world.keep(world.here)
    await settle()
    world.keep(world.there)
    await settle()
    world.here.update("a", LATER)
    await settle()
    assert world.taken == ["sid"]
    assert await world.there.take("a", "anna") == ANNA


async def test_nobody_takes_the_session_of_another_user(world: World) -> None:
    """The state is gone then: its id is known to somebody who should not know it."""
    world.keep(world.here)
    await settle()
    assert await world.there.take("a", "bob") is None
    assert await world.there.take("a", "anna") is None


async def test_changes_are_joined(world: World) -> None:
    """While one is written, only the newest waits; one that changes nothing is not written."""
    world.keep(world.here)
    for number in range(10):
        world.here.update("a", SessionState("sid", "anna", {}, b"%d" % number))
    await settle()
    assert world.store.puts <= 2
    world.here.update("a", SessionState("sid", "anna", {}, b"9"))
    await settle()
    assert world.store.puts <= 2
    found = await world.there.take("a", "anna")
    assert found is not None
    assert found.data == b"9"


async def test_a_state_stays_for_a_while_after_its_connection(world: World) -> None:
    """The time begins when the connection ends."""
    world.keep(world.here)
    await settle()
    world.clock.now += 100
    world.here.release("a")
    await settle()
    world.clock.now += 100
    await world.here.renew()
    assert await world.there.take("a", "anna") == ANNA


async def test_a_killed_server_leaves_a_state(world: World) -> None:
    """It expires at the latest a while after the last renewal."""
    world.keep(world.here)
    await settle()
    for _ in range(5):
        world.clock.now += 100
        await world.here.renew()
    world.clock.now += 119
    assert await world.there.take("a", "anna") == ANNA
    world.keep(world.here)
    await settle()
    world.clock.now += 121
    assert await world.there.take("a", "anna") is None


async def test_one_that_left_does_not_come_back(world: World) -> None:
    """Its state is removed."""
    world.keep(world.here)
    await settle()
    world.here.forget("a")
    await settle()
    assert await world.there.take("a", "anna") is None


@pytest.mark.parametrize("end", ["stays", "released"])
async def test_what_could_not_be_written_is_written_later(world: World, end: str) -> None:
    """The backplane was away, and may have lost its data."""
    world.store.away = True
    world.keep(world.here)
    await settle()
    world.here.update("a", LATER)
    await settle()
    with pytest.raises(BackplaneError):
        await world.here.renew()
    world.store.away = False
    if end == "released":
        world.here.release("a")
    else:
        await world.here.renew()
    await settle()
    assert await world.there.take("a", "anna") == LATER
    await world.here.renew()
    await settle()
    assert await world.there.take("a", "anna") == (LATER if end == "stays" else None)
    assert world.failures == 0


async def test_a_change_can_be_waited_for(world: World) -> None:
    """Until then a killed server would leave the state before it."""
    world.keep(world.here)
    assert await world.here.stored("a")
    world.here.update("a", LATER)
    assert await world.here.stored("a")
    assert await world.there.take("a", "anna") == LATER


async def test_a_change_that_cannot_be_written_is_not_waited_for(world: World) -> None:
    world.store.away = True
    world.keep(world.here)
    assert not await world.here.stored("a")
    assert not await world.here.stored("unknown")
