"""Concurrent subscriptions of one client, by itself and by the server."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.commands.subscribe import ESCAPE_BYTES, escaped_size
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.grant import PLAIN
from realtime_server.core.node import Node
from realtime_server.core.ports.api import Message
from realtime_server.core.server_api import ServerApi
from realtime_server.core.sessions.session import Session
from tests.kit.scripted_broker import ScriptedBroker
from tests.kit.server_doubles import SECRET, RecordingConnection, accept, connected, make_node, send
from tests.kit.tokens import connection_token

ROOM = "chat:room"


@pytest.mark.parametrize("text", ["", "chat:room-42", '"\\', "\x00\n\x1f\x7f", "\u00e4\u2028\U0001f600"])
def test_a_size_is_what_python_writes(text: str) -> None:
    """Without the quotes."""
    assert escaped_size(text) == len(json.dumps(text)) - 2


def test_a_size_counts_what_go_escapes() -> None:
    """Six bytes for each of them."""
    assert escaped_size("a<b>&") == len(r"a\u003cb\u003e\u0026")


@given(st.text())
def test_a_character_takes_two_escapes_at_most(text: str) -> None:
    """By which the size of most commands is known without looking at each character."""
    assert escaped_size(text) <= 2 * ESCAPE_BYTES * len(text)


async def turns() -> None:
    """Run all tasks that are ready."""
    for _ in range(20):
        await asyncio.sleep(0)


async def history_answers(broker: ScriptedBroker, which: int = 0) -> None:
    """Answer the oldest pending read of the history."""
    broker.read(which)
    broker.answer(which)
    await turns()


async def delivered(node: Node, broker: ScriptedBroker, connection: RecordingConnection) -> list[object]:
    """Return what the client gets after a publication."""
    connection.take()
    await ServerApi(node).publish(ROOM, Message(b'"news"'))
    broker.deliver()
    await turns()
    return connection.take()


def begin(node: Node, session: Session) -> asyncio.Task[bool]:
    """Start subscribing the client by the server."""
    return asyncio.create_task(node.subscriptions.subscribe_server_side(session, ROOM, PLAIN, None))


async def test_two_calls_that_subscribe_a_client_at_once_make_one_subscription() -> None:
    """The later call ends without taking the deliveries of the first one."""
    broker = ScriptedBroker()
    node = make_node(broker)
    await node.start()
    session, connection = connected(node)
    calls = [begin(node, session), begin(node, session)]
    await turns()
    for _ in calls:
        await history_answers(broker)
    await asyncio.gather(*calls)
    assert [message["push"].keys() for message in connection.take() if isinstance(message, dict)] == [
        {"channel", "subscribe"}
    ]
    assert await delivered(node, broker, connection) != []


async def test_a_client_that_subscribes_while_the_server_does_has_it_once() -> None:
    """The client gets error 105."""
    broker = ScriptedBroker()
    node = make_node(broker)
    await node.start()
    session, connection = connected(node)
    call = begin(node, session)
    await turns()
    send(session, {"id": 2, "subscribe": {"channel": ROOM}})
    await turns()
    await history_answers(broker)
    await call
    await history_answers(broker)
    assert connection.take()[-1] == {"id": 2, "error": {"code": 105, "message": "already subscribed"}}
    assert len(await delivered(node, broker, connection)) == 1


async def test_a_client_that_is_still_connecting_is_subscribed_after_it_was_let_in() -> None:
    """The push follows the connect reply, since an SDK would ignore an earlier one."""
    broker = ScriptedBroker()
    node = make_node(broker)
    await node.start()
    session, connection = accept(node)
    send(session, {"id": 1, "connect": {"token": connection_token(SECRET, "alice", channels=["chat:room"])}})
    await turns()
    call = asyncio.create_task(node.subscriptions.subscribe_server_side(session, "chat:other", PLAIN, None))
    await turns()
    assert connection.take() == []
    await history_answers(broker, -1)
    await history_answers(broker)
    await call
    connect, subscribe = connection.take()
    assert isinstance(connect, dict)
    assert isinstance(subscribe, dict)
    assert (connect["id"], subscribe["push"]["channel"]) == (1, "chat:other")


async def test_a_client_that_goes_while_it_connects_is_not_waited_for() -> None:
    """The server-side subscription ends with the client."""
    broker = ScriptedBroker()
    node = make_node(broker)
    await node.start()
    session, _ = accept(node)
    send(session, {"id": 1, "connect": {"token": connection_token(SECRET, "alice", channels=["chat:room"])}})
    call = asyncio.create_task(node.subscriptions.subscribe_server_side(session, "chat:other", PLAIN, None))
    await turns()
    session.on_closed()
    async with asyncio.timeout(1):
        await call


async def test_a_connect_command_that_failed_may_come_again() -> None:
    """Commands sent along with a failed connect are not executed later."""
    broker = ScriptedBroker()
    node = make_node(broker)
    await node.start()
    session, connection = accept(node)
    connect = {"token": connection_token(SECRET, "alice", channels=[ROOM])}
    send(session, {"id": 1, "connect": connect}, {"id": 2, "publish": {"channel": "open:a", "data": 1}})
    await turns()
    broker.reads.pop().answer.set_exception(BackplaneError("away"))
    await turns()
    error = {"code": 100, "message": "internal server error", "temporary": True}
    assert connection.take() == [{"id": 1, "error": error}]
    assert node.workers()[0].users == 0
    send(session, {"id": 3, "connect": connect})
    await turns()
    await history_answers(broker)
    [reply] = connection.take()
    assert isinstance(reply, dict)
    assert reply["id"] == 3
    assert (session.user, node.workers()[0].users) == ("alice", 1)
