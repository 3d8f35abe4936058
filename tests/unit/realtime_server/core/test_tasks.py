"""Reporting of failed tasks."""

from __future__ import annotations

import asyncio

import pytest

from realtime_server.codes import SERVER_ERROR
from realtime_server.core.model.values import HistoryOptions, StreamPosition
from realtime_server.core.tasks import has_failed, run_now
from tests.kit.scripted_broker import ScriptedBroker
from tests.kit.server_doubles import connected, make_node, send


class BrokenBroker(ScriptedBroker):
    """Broker with a defect: it raises what no port may raise."""

    async def publish(
        self,
        channel: str,
        encoded: bytes,
        history: HistoryOptions | None,
        *,
        idempotency_key: str = "",
        idempotency_seconds: float = 300.0,
        version: int = 0,
        version_epoch: str = "",
    ) -> StreamPosition | None:
        """Fail."""
        raise ZeroDivisionError(channel, encoded, history, idempotency_key, idempotency_seconds, version, version_epoch)

    async def publish_control(self, message: bytes, node: str = "") -> None:
        """Fail."""
        raise ZeroDivisionError(message, node)


class Reports:
    """Recorder of the event loop's exception handler."""

    def __init__(self) -> None:
        self.messages: list[object] = []
        asyncio.get_running_loop().set_exception_handler(self._take)

    def _take(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        self.messages.append(context.get("message"))


async def _fail() -> None:
    raise ZeroDivisionError


async def _seven() -> int:
    return 7


async def _wait() -> None:
    await asyncio.sleep(60)


def test_what_waits_for_nothing_is_done_at_once() -> None:
    """A coroutine that never suspends runs without an event loop."""
    assert run_now(_seven()) == 7
    with pytest.raises(ZeroDivisionError):
        run_now(_fail())


async def test_what_waits_is_not_done_at_once() -> None:
    """A coroutine that suspends raises RuntimeError, because that is a defect."""
    with pytest.raises(RuntimeError, match="waits"):
        run_now(_wait())


async def test_a_failed_task_is_reported() -> None:
    """The report has the task's name, and there is one."""
    reports = Reports()
    task = asyncio.create_task(_fail(), name="count")
    await asyncio.wait([task])
    assert has_failed(task)
    assert reports.messages == ["count failed"]


async def test_a_cancelled_task_has_not_failed() -> None:
    """Tasks are cancelled when the worker stops."""
    task = asyncio.create_task(asyncio.sleep(60))
    task.cancel()
    await asyncio.wait([task])
    assert not has_failed(task)


async def test_a_node_whose_periodic_work_failed_is_broken() -> None:
    """The worker must be replaced, instead of living on without heartbeats."""
    reports = Reports()
    node = make_node(BrokenBroker())
    await node.start()
    await asyncio.wait_for(node.broken.wait(), 1)
    await node.stop()
    assert reports.messages == ["announce failed"]


@pytest.mark.parametrize("immediate", [False, True])
async def test_a_command_that_fails_unforeseen_ends_the_connection(*, immediate: bool) -> None:
    """The client gets 3004 and reconnects, instead of waiting for a reply that never comes."""
    reports = Reports()
    broker = BrokenBroker()
    broker.immediate = immediate
    session, connection = connected(make_node(broker))
    send(session, {"id": 2, "publish": {"channel": "open:a", "data": 1}})
    for _ in range(3):
        await asyncio.sleep(0)
    assert connection.closed_by == SERVER_ERROR
    assert reports.messages == [f"session-{session.client} failed"]
