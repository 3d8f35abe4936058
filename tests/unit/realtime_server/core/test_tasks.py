"""Nothing fails in silence: a failed task is reported, and whoever depends on it is told."""

from __future__ import annotations

import asyncio

from realtime_server.backplane.memory import MemoryPresence
from realtime_server.codes import SERVER_ERROR, DisconnectCode
from realtime_server.core.auth import TokenVerifier
from realtime_server.core.namespaces import ChannelOptions, Namespaces, PublishPermission
from realtime_server.core.node import Node, NodeLimits, NodeSettings
from realtime_server.core.tasks import has_failed
from realtime_server.core.values import HistoryOptions, StreamPosition
from realtime_server.protocols.centrifuge.json_codec import JsonWire
from tests.kit.scripted_broker import ScriptedBroker


class BrokenBroker(ScriptedBroker):
    """Has a defect: it raises what no port may raise."""

    async def publish(self, channel: str, encoded: bytes, history: HistoryOptions | None) -> StreamPosition | None:
        """Fail."""
        raise ZeroDivisionError(channel, encoded, history)

    async def publish_control(self, message: bytes) -> None:
        """Fail."""
        raise ZeroDivisionError(message)


class Reports:
    """What the event loop's exception handler is told."""

    def __init__(self) -> None:
        self.messages: list[object] = []
        asyncio.get_running_loop().set_exception_handler(self._take)

    def _take(self, _loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        self.messages.append(context.get("message"))


class Connection:
    """Remembers how it was closed."""

    def __init__(self) -> None:
        self.closed_by: DisconnectCode | None = None

    def write(self, frames: bytes) -> None:
        """Send nothing."""

    def close(self, code: DisconnectCode) -> None:
        """Remember."""
        self.closed_by = code


def make_node() -> Node:
    """A node whose broker has a defect."""
    node_settings = NodeSettings(
        name="server",
        version="0",
        namespaces=Namespaces([("chat", ChannelOptions(publish=PublishPermission.ANYONE))]),
        limits=NodeLimits(10, 1000),
        heartbeat_interval=25,
        heartbeat_timeout=8,
        anonymous=True,
    )
    return Node(node_settings, BrokenBroker(), MemoryPresence(), TokenVerifier(list))


async def _fail() -> None:
    raise ZeroDivisionError


async def test_a_failed_task_is_reported() -> None:
    """By its name, once."""
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
    """So that the worker is replaced, instead of living on without heartbeats."""
    reports = Reports()
    node = make_node()
    await node.start()
    await asyncio.wait_for(node.broken.wait(), 1)
    await node.stop()
    assert reports.messages == ["announce failed"]


async def test_a_command_that_fails_unforeseen_ends_the_connection() -> None:
    """With 3004, after which an SDK connects again: it does not wait for an answer that never comes."""
    reports = Reports()
    connection = Connection()
    session = make_node().accept(connection, JsonWire(lambda message: message))
    session.on_message(b'{"id":1,"connect":{}}\n{"id":2,"publish":{"channel":"chat:a","data":1}}', 0)
    for _ in range(3):
        await asyncio.sleep(0)
    assert connection.closed_by == SERVER_ERROR
    assert reports.messages == [f"session-{session.client} failed"]
