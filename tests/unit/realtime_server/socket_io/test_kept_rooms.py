"""State of a socket, as it is kept while rooms change."""

from __future__ import annotations

import asyncio

from realtime_server.backplane.memory_sessions import MemorySessionStore
from realtime_server.core.model.session_state import SessionState
from realtime_server.core.model.values import StreamPosition
from realtime_server.core.operations.session_recovery import SessionRecovery
from realtime_server.core.tasks import TaskGroup
from realtime_server.socket_io.kept_rooms import UNKNOWN, KeptRooms
from tests.unit.realtime_server.socket_io.world import settle

START = StreamPosition(3, "e")


class World:
    """Socket with one room, and where its state is kept."""

    def __init__(self) -> None:
        self.failed = asyncio.Event()
        self.store = MemorySessionStore(most=10)
        recovery = SessionRecovery(self.store, TaskGroup(self.failed.set))
        self.rooms = KeptRooms(recovery, "p", SessionState("s", "ann", {}, b"/"), {"rooms:a": START})

    async def stored(self) -> dict[str, StreamPosition] | None:
        """Return the rooms in the store, and remove them."""
        await settle()
        state = await self.store.take("p")
        assert not self.failed.is_set()
        return None if state is None else state.channels


async def test_the_state_has_each_room_with_its_beginning() -> None:
    """A room whose beginning is not known is there too: it cannot be recovered."""
    world = World()
    world.rooms.enter("rooms:early")
    world.rooms.keep(lambda: None)
    world.rooms.note_position("rooms:b", START)
    world.rooms.enter("rooms:b")
    world.rooms.enter("news:c")
    world.rooms.leave("rooms:early")
    world.rooms.leave("rooms:early")
    assert await world.rooms.stored()
    assert await world.stored() == {"rooms:a": START, "rooms:b": START, "news:c": UNKNOWN}


async def test_the_state_stays_after_a_lost_connection() -> None:
    """What ends its rooms afterwards does not change it, nor does another end."""
    world = World()
    world.rooms.keep(lambda: None)
    await settle()
    world.rooms.release()
    world.rooms.leave("rooms:a")
    world.rooms.forget()
    assert await world.stored() == {"rooms:a": START}


async def test_the_state_goes_with_the_socket() -> None:
    world = World()
    world.rooms.keep(lambda: None)
    await settle()
    world.rooms.forget()
    world.rooms.release()
    assert await world.stored() is None


async def test_nothing_is_stored_of_a_socket_that_was_not_connected() -> None:
    world = World()
    world.rooms.enter("rooms:b")
    world.rooms.release()
    assert await world.stored() is None
