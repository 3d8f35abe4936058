"""Queue of a session's messages: order, bounds, pauses, and failures."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass

import pytest

from realtime_server import codes
from realtime_server.core.node import Node
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.core.sessions.queueing_session import QueueingSession
from realtime_server.core.sessions.session import SessionContext
from tests.kit.server_doubles import WIRE, RecordingConnection, make_node


@dataclass(frozen=True)
class Word:
    """Message that waits."""

    text: bytes
    size: int = 1


class Words(QueueingSession[Word]):
    """Session that handles its messages when it is released; `defect` breaks it."""

    pause_at = 3

    def __init__(self, context: SessionContext, connection: RecordingConnection, client: str) -> None:
        super().__init__(context, connection, WIRE, client, TransportInfo())
        self.handled: list[bytes] = []
        self.released = asyncio.Event()
        self.defect = False

    def on_text(self, payload: bytes, now: float) -> None:
        """Queue a message."""
        self._enqueue(Word(payload), now)

    def on_binary(self, payload: bytes, now: float) -> None:
        """Handle a message at once."""
        del now
        self._run_now(self._handle(payload))

    async def _handle(self, payload: bytes) -> None:
        if self.defect:
            raise ZeroDivisionError
        self.handled.append(payload)

    async def _process(self, queue: deque[Word]) -> None:
        while queue and not self.closed:
            await self.released.wait()
            await self._handle(queue[0].text)
            self._remove_first(queue)


def opened(node: Node) -> tuple[Words, RecordingConnection]:
    """Open a session."""
    connection = RecordingConnection()
    session = node.open(lambda context, client, _: Words(context, connection, client))
    assert isinstance(session, Words)
    return session, connection


async def settle() -> None:
    """Let all tasks run that need not wait."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_messages_are_handled_in_their_order_and_reading_pauses_meanwhile() -> None:
    session, connection = opened(make_node())
    for number in range(3):
        assert not connection.is_paused()
        session.on_text(b"%d" % number, 0.0)
    assert connection.is_paused()
    session.released.set()
    await settle()
    assert session.handled == [b"0", b"1", b"2"]
    assert not connection.is_paused()


async def test_a_queue_is_bounded() -> None:
    """Its client goes on although nothing is read from it."""
    node = make_node()
    session, connection = opened(node)
    for _ in range(node.settings.limits.waiting_commands + 1):
        session.on_text(b"x", 0.0)
    assert connection.closed_by == codes.TOO_MANY_REQUESTS_DISCONNECT


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_defect_ends_the_connection_and_nothing_else(*, at_once: bool) -> None:
    """It is reported, and the client comes back, whether a task has met it or not."""
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    session, connection = opened(make_node())
    session.defect = True
    session.released.set()
    (session.on_binary if at_once else session.on_text)(b"x", 0.0)
    await settle()
    assert connection.closed_by == codes.SERVER_ERROR
    assert [type(error) for error in reported] == [ZeroDivisionError]


async def test_a_closed_session_handles_no_more_messages() -> None:
    session, _ = opened(make_node())
    session.on_text(b"x", 0.0)
    await settle()
    session.on_closed()
    session.released.set()
    await settle()
    assert session.handled == []
