"""Waiting for a condition with a deadline; the failure text has the last observed value."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")


class DeadlineMissedError(AssertionError):
    """A condition did not hold in time."""


async def eventually(
    read: Callable[[], Awaitable[T]],
    wanted: Callable[[T], bool],
    *,
    what: str,
    within: float,
    every: float = 0.2,
    show: Callable[[T], object] = repr,
) -> T:
    """Read until `wanted` accepts the value, and return it.

    Raises DeadlineMissedError after `within` seconds, with `what` and the last value as `show` prints it.
    """
    deadline = time.monotonic() + within
    while True:
        value = await read()
        if wanted(value):
            return value
        if time.monotonic() >= deadline:
            raise DeadlineMissedError(f"not within {within:g} s: {what}; last seen: {show(value)}")
        await asyncio.sleep(every)


async def stays(
    read: Callable[[], Awaitable[T]],
    wanted: Callable[[T], bool],
    *,
    what: str,
    during: float,
    every: float = 0.2,
    show: Callable[[T], object] = repr,
) -> T:
    """Read for `during` seconds; raise AssertionError at the first refused value; return the last value."""
    end = time.monotonic() + during
    while True:
        value = await read()
        if not wanted(value):
            raise AssertionError(f"did not stay so for {during:g} s: {what}; seen: {show(value)}")
        if time.monotonic() >= end:
            return value
        await asyncio.sleep(every)
