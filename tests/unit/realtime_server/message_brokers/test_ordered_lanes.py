"""Tests of the order of work on the same subject."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.message_brokers.ordered_lanes import OrderedLanes


class Steps:
    """Work that waits until it is let go, and records its beginning."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self._gates: dict[str, asyncio.Event] = {}

    def work(self, name: str) -> Callable[[], Awaitable[None]]:
        """Return work of this name."""
        gate = self._gates[name] = asyncio.Event()

        async def run() -> None:
            self.begun.append(name)
            await gate.wait()

        return run

    def finish(self, name: str) -> None:
        """Let the work of this name end."""
        self._gates[name].set()


async def settle() -> None:
    """Let all tasks run until they wait."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_work_on_one_key_waits_and_work_on_another_goes_on() -> None:
    lanes, steps = OrderedLanes(), Steps()
    async with asyncio.TaskGroup() as group:
        for name, keys in {"a1": ("a",), "a2": ("a",), "b1": ("b",), "ab": ("a", "b"), "b2": ("b",)}.items():
            group.create_task(lanes.run(keys, steps.work(name)))
        await settle()
        assert steps.begun == ["a1", "b1"]
        steps.finish("a1")
        await settle()
        assert steps.begun == ["a1", "b1", "a2"]
        steps.finish("b1")
        await settle()
        assert steps.begun == ["a1", "b1", "a2"]
        steps.finish("a2")
        await settle()
        assert steps.begun[3:] == ["ab"]
        steps.finish("ab")
        await settle()
        assert steps.begun[4:] == ["b2"]
        steps.finish("b2")
    assert len(lanes) == 0


async def test_work_without_a_key_waits_for_nothing() -> None:
    lanes, steps = OrderedLanes(), Steps()
    async with asyncio.TaskGroup() as group:
        for name in ("one", "two"):
            group.create_task(lanes.run((), steps.work(name)))
        await settle()
        assert steps.begun == ["one", "two"]
        steps.finish("one")
        steps.finish("two")


@pytest.mark.parametrize("cancelled", [0, 1])
async def test_work_does_not_overtake_what_was_cancelled(cancelled: int) -> None:
    """It is cancelled too: the messages come again, in their order. Earlier work goes on."""
    lanes, steps = OrderedLanes(), Steps()
    tasks = [asyncio.ensure_future(lanes.run(("a",), steps.work(name))) for name in ("first", "second", "third")]
    await settle()
    tasks[cancelled].cancel()
    await settle()
    steps.finish("first")
    await settle()
    assert [task.cancelled() for task in tasks] == [cancelled == 0, True, True]
    assert steps.begun == ["first"]
    assert len(lanes) == 0


async def test_work_does_not_overtake_what_has_failed() -> None:
    lanes = OrderedLanes()

    async def fail() -> None:
        await asyncio.sleep(0)
        raise ValueError("broken")

    failing = asyncio.ensure_future(lanes.run(("a",), fail))
    after = asyncio.ensure_future(lanes.run(("a",), Steps().work("after")))
    with pytest.raises(ValueError, match="broken"):
        await failing
    await settle()
    assert after.cancelled()


@given(st.lists(st.tuples(st.sets(st.sampled_from("abc"), max_size=3), st.integers(0, 3)), max_size=12))
def test_each_key_sees_its_work_in_order_and_one_at_a_time(works: list[tuple[set[str], int]]) -> None:
    """However long each takes."""
    seen: list[int] = []
    open_keys: set[str] = set()

    async def scenario() -> None:
        lanes = OrderedLanes()

        async def one(number: int, keys: set[str], turns: int) -> None:
            assert not keys & open_keys
            open_keys.update(keys)
            for _ in range(turns):
                await asyncio.sleep(0)
            open_keys.difference_update(keys)
            seen.append(number)

        async with asyncio.TaskGroup() as group:
            for number, (keys, turns) in enumerate(works):
                group.create_task(lanes.run(keys, lambda n=number, k=keys, t=turns: one(n, k, t)))  # type: ignore[misc]
        assert len(lanes) == 0

    asyncio.run(scenario())
    assert sorted(seen) == [*range(len(works))]
    for key in "abc":
        numbers = [number for number in seen if key in works[number][0]]
        assert numbers == sorted(numbers)
