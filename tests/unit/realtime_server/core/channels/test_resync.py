"""Queue of channels to be read again."""

from __future__ import annotations

import asyncio

import pytest

from realtime_server.core.channels import resync as resync_module
from realtime_server.core.channels.channel import Channel
from realtime_server.core.channels.resync import AT_ONCE, Resync
from realtime_server.core.model.channel_options import ChannelOptions
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.tasks import TaskGroup

MANY = 10 * AT_ONCE


def channels(count: int) -> list[Channel]:
    """Return a number of channels."""
    return [Channel(f"c{number}", ChannelOptions()) for number in range(count)]


async def settle() -> None:
    """Run all tasks until they wait."""
    for _ in range(2 * MANY // AT_ONCE + 10):
        await asyncio.sleep(0)


async def test_all_are_checked_and_only_some_at_a_time() -> None:
    """Concurrent checks are bounded, however many channels a worker has when its link returns."""
    running, most, checked = 0, 0, []

    async def check(channel: Channel) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        checked.append(channel)

    resync, wanted = Resync(TaskGroup(pytest.fail), check), channels(MANY)
    for channel in wanted:
        resync.add(channel)
        resync.add(channel)
    await settle()
    assert sorted(channel.name for channel in checked) == sorted(channel.name for channel in wanted)
    assert most == AT_ONCE


async def test_while_the_backplane_is_away_few_attempts_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each running check pauses after a failure; later all channels are checked."""
    monkeypatch.setattr(resync_module, "RETRY_SECONDS", 0.001)
    attempts, away, checked, all_checked = 0, True, set(), asyncio.Event()

    async def check(channel: Channel) -> None:
        nonlocal attempts
        attempts += 1
        if away:
            raise BackplaneError("away")
        checked.add(channel)
        if len(checked) == MANY:
            all_checked.set()

    resync, wanted = Resync(TaskGroup(pytest.fail), check), channels(MANY)
    for channel in wanted:
        resync.add(channel)
    await asyncio.sleep(0)
    assert attempts == AT_ONCE
    away = False
    async with asyncio.timeout(2):
        await all_checked.wait()
    assert checked == set(wanted)


async def test_one_that_was_checked_can_be_added_again() -> None:
    """A channel may be added while its check runs, because that may have read before the loss."""
    checks, go_on = [], asyncio.Event()

    async def check(channel: Channel) -> None:
        checks.append(channel)
        await go_on.wait()

    resync, (channel,) = Resync(TaskGroup(pytest.fail), check), channels(1)
    resync.add(channel)
    await asyncio.sleep(0)
    resync.add(channel)
    await asyncio.sleep(0)
    assert checks == [channel, channel]
    go_on.set()
    await settle()
    resync.add(channel)
    await settle()
    assert len(checks) == 3
