"""Contract of every channel occupancy."""

from __future__ import annotations

from dataclasses import replace

from realtime_server.core.ports.backplane import OccupancyChanges
from tests.contract.backplane.conftest import TIMING, Connect, Server
from tests.kit.deadline import eventually

CHANNELS = ["a", "b", "ü✓{x}"]


async def test_a_channel_is_occupied_and_vacated_once(server: Server) -> None:
    """A repeated call returns False."""
    for channel in CHANNELS:
        assert not await server.occupancy.note_vacated(channel)
        assert await server.occupancy.note_occupied(channel)
        assert not await server.occupancy.note_occupied(channel)
    for channel in CHANNELS:
        assert await server.occupancy.note_vacated(channel)
        assert not await server.occupancy.note_vacated(channel)
    assert await server.occupancy.missed_changes() == OccupancyChanges()


async def test_the_first_begins_and_the_last_ends(together: Connect) -> None:
    """The first and the last server are told."""
    async with together() as one, together() as other:
        assert await one.occupancy.note_occupied("a")
        assert not await other.occupancy.note_occupied("a")
        assert not await one.occupancy.note_vacated("a")
        assert await one.occupancy.missed_changes() == OccupancyChanges()
        assert await other.occupancy.note_vacated("a")
        assert await one.occupancy.note_occupied("a")


async def test_channels_of_a_dead_worker_are_vacated_once(together: Connect) -> None:
    """One surviving worker is told; a channel that another worker occupies stays occupied."""
    async with together() as one, together() as other:
        async with together() as dies:
            for channel in CHANNELS:
                assert await dies.occupancy.note_occupied(channel)
            assert not await one.occupancy.note_occupied("a")

        vacated: list[str] = []

        async def ask() -> list[str]:
            for server in (one, other):
                changes = await server.occupancy.missed_changes()
                assert changes.occupied == ()
                vacated.extend(changes.vacated)
            return vacated

        await eventually(ask, lambda seen: len(seen) >= 2, what="vacated", within=10 * TIMING.silent, every=0.05)
        assert sorted(await ask()) == sorted(CHANNELS[1:])
        assert await one.occupancy.note_vacated("a")


async def test_a_worker_that_was_taken_for_dead_comes_back(together: Connect) -> None:
    """Its channels are occupied again, and the change is reported."""
    hasty = replace(TIMING, silent=0.001)
    async with together(hasty) as one, together() as slow:
        assert await slow.occupancy.note_occupied("a")
        assert await slow.occupancy.note_occupied("b")
        assert await slow.occupancy.note_vacated("b")
        vacated: list[str] = []

        async def ask() -> list[str]:
            vacated.extend((await one.occupancy.missed_changes()).vacated)
            return vacated

        await eventually(ask, bool, what="vacated", within=5, every=0.01)
        assert vacated == ["a"]
        assert await slow.occupancy.missed_changes() == OccupancyChanges(occupied=("a",))
        assert await slow.occupancy.missed_changes() == OccupancyChanges()
