"""Waiting ends with the value, or with a text that says what was seen instead."""

from __future__ import annotations

import itertools

import pytest

from tests.kit.deadline import DeadlineMissedError, eventually, stays


async def test_the_first_accepted_value_is_returned() -> None:
    """It reads until the value is accepted."""
    numbers = itertools.count()

    async def read() -> int:
        return next(numbers)

    assert await eventually(read, lambda n: n == 3, what="three", within=5, every=0) == 3


async def test_a_missed_deadline_shows_the_last_value() -> None:
    """What was waited for, and what was there."""

    async def read() -> str:
        return "Pending"

    with pytest.raises(DeadlineMissedError, match=r"not within 0 s: Ready; last seen: <Pending>"):
        await eventually(read, lambda _: False, what="Ready", within=0, show=lambda v: f"<{v}>")


async def test_a_value_that_changes_does_not_stay() -> None:
    """The first other value ends the wait."""
    numbers = itertools.count()

    async def read() -> int:
        return next(numbers)

    with pytest.raises(AssertionError, match="small; seen: 2"):
        await stays(read, lambda n: n < 2, what="small", during=5, every=0)
