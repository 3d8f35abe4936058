"""Subscriptions in progress: revocation becomes an error, and cancellation by others stays one."""

from __future__ import annotations

import asyncio

import pytest

from realtime_server import codes
from realtime_server.core.model.errors import BackplaneError, CommandError
from realtime_server.core.sessions.attempt import Attempt


class Making:
    """Task that makes a subscription and waits for `answer`."""

    def __init__(self) -> None:
        self.attempts: list[Attempt] = []
        self.answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.goes_on = asyncio.Event()
        self.task = asyncio.create_task(self._make())

    async def _make(self) -> str:
        try:
            with Attempt(self.attempts, "chat:a"):
                return await self.answer
        except CommandError as error:
            await self.goes_on.wait()  # not cancelled: the task works on
            return str(error.error.code)

    async def begun(self) -> Attempt:
        """Wait until the task waits."""
        await asyncio.sleep(0)
        [attempt] = self.attempts
        return attempt


async def test_what_is_not_revoked_is_done() -> None:
    """The attempt is no longer registered."""
    making = Making()
    await making.begun()
    making.answer.set_result("done")
    assert await making.task == "done"
    assert making.attempts == []


async def test_a_revoked_one_ends_at_once_and_its_task_goes_on() -> None:
    """The command fails with the error, however often it is revoked."""
    making = Making()
    attempt = await making.begun()
    attempt.revoke()
    attempt.revoke()
    making.goes_on.set()
    assert await making.task == str(codes.PERMISSION_DENIED.code)
    assert making.task.cancelling() == 0
    assert making.attempts == []


async def test_one_that_is_revoked_when_its_answer_has_just_come() -> None:
    """A revocation just after the answer still takes effect."""
    making = Making()
    attempt = await making.begun()
    making.answer.set_result("done")
    attempt.revoke()
    making.goes_on.set()
    assert await making.task == str(codes.PERMISSION_DENIED.code)


async def test_one_that_has_failed_when_it_is_revoked() -> None:
    """The command is answered once, as revoked."""
    making = Making()
    attempt = await making.begun()
    making.answer.set_exception(BackplaneError("away"))
    attempt.revoke()
    making.goes_on.set()
    assert await making.task == str(codes.PERMISSION_DENIED.code)


@pytest.mark.parametrize("revoked_first", [True, False])
async def test_a_task_that_is_cancelled_by_others_is_cancelled(*, revoked_first: bool) -> None:
    making = Making()
    attempt = await making.begun()
    if revoked_first:
        attempt.revoke()
    making.task.cancel()
    attempt.revoke()
    with pytest.raises(asyncio.CancelledError):
        await making.task
    assert making.attempts == []
