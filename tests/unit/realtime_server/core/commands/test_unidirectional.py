"""Unidirectional clients: their connect, and the handling of errors."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from realtime_server import codes
from realtime_server.codes import DisconnectCode, ErrorCode
from realtime_server.core.commands.unidirectional import disconnect_of
from realtime_server.core.node import Node
from realtime_server.core.sessions.session import Session
from realtime_server.protocols.centrifuge.json_unidirectional import UnidirectionalJsonCodec
from tests.kit.server_doubles import SECRET, Clock, RecordingConnection, make_node
from tests.kit.tokens import connection_token

WIRE = UnidirectionalJsonCodec(lambda message: message)


async def accepted(node: Node, request: object) -> tuple[Session, RecordingConnection]:
    """Return a client that has sent its connect request."""
    connection = RecordingConnection()
    session = node.accept(connection, WIRE)
    session.on_text(msgspec.json.encode(request), node.clock())
    for _ in range(20):
        await asyncio.sleep(0)
    return session, connection


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (codes.UNAUTHORIZED, codes.INVALID_TOKEN),
        (codes.TOKEN_EXPIRED, codes.CONNECTION_EXPIRED),
        (codes.PERMISSION_DENIED, codes.PERMISSION_DENIED_DISCONNECT),
        (codes.TOO_MANY_REQUESTS, codes.TOO_MANY_REQUESTS_DISCONNECT),
        (codes.INTERNAL, codes.SERVER_ERROR),
        (ErrorCode(4000, "of a backend"), codes.SERVER_ERROR),
    ],
)
def test_an_error_is_a_disconnect(error: ErrorCode, code: DisconnectCode) -> None:
    """After a temporary error the client may reconnect."""
    assert disconnect_of(error) == code
    assert code.reconnect or not error.temporary


async def test_it_is_let_in_and_told_by_a_push() -> None:
    """The client does not answer pings."""
    node = make_node()
    session, connection = await accepted(node, {})
    expected = {"client": session.client, "version": "0", "ping": 25, "pong": False}
    assert connection.take() == [{"connect": expected}]


async def test_it_gets_the_channels_of_its_token_and_of_its_request() -> None:
    """The push has the positions, and publications follow."""
    node = make_node()
    await node.start()
    token = connection_token(SECRET, "alice", channels=["news:a"])
    _, connection = await accepted(node, {"token": token, "subs": {"chat:a": {}, "news:a": {}}})
    [reply] = connection.take()
    assert isinstance(reply, dict)
    assert set(reply["connect"]["subs"]) == {"chat:a", "news:a"}
    assert reply["connect"]["subs"]["chat:a"]["recoverable"] is True
    await node.stop()


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({"token": "wrong"}, codes.INVALID_TOKEN),
        ({"subs": {"nowhere:a": {}}}, codes.PERMISSION_DENIED_DISCONNECT),
        ({"subs": {"$chat:a": {}}}, codes.PERMISSION_DENIED_DISCONNECT),
        ({"subs": {f"open:{number}": {} for number in range(4)}}, codes.CHANNEL_LIMIT),
    ],
)
async def test_one_that_may_not_is_sent_away(request_: object, code: DisconnectCode) -> None:
    """All channels or none are granted, as the client could not see which are missing."""
    node = make_node()
    await node.start()
    _, connection = await accepted(node, request_)
    assert connection.take() == []
    assert connection.closed_by == code
    assert node.sessions == {}
    assert not any(node.hub.channels.values())
    await node.stop()


async def test_it_has_nothing_more_to_say() -> None:
    """A second message is a protocol error."""
    node = make_node()
    session, connection = await accepted(node, {})
    session.on_text(b"{}", node.clock())
    assert connection.closed_by == codes.BAD_REQUEST_DISCONNECT


async def test_it_is_pinged_and_need_not_answer() -> None:
    """A client without pongs stays connected."""
    clock = Clock()
    node = make_node(clock=clock)
    _, connection = await accepted(node, {})
    connection.take()
    for _ in range(3):
        clock.now += 30
        await node._beat()
    assert connection.take() == [{}, {}, {}]
    assert connection.closed_by is None
