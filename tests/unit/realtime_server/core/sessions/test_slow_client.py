"""Slow client in a namespace that allows dropping publications."""

from __future__ import annotations

import asyncio

import pytest

from realtime_server.core.model.channel_options import ChannelOptions, SlowConsumer
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.core.node import Node
from realtime_server.core.ports.api import Message
from realtime_server.core.server_api import ServerApi
from realtime_server.core.sessions.session import Session
from tests.kit.document import dig
from tests.kit.server_doubles import RecordingConnection, connected, make_node, send

NAMESPACES = Namespaces(
    [
        ("log", ChannelOptions(slow_consumer=SlowConsumer.DROP_OLDEST)),
        ("price", ChannelOptions(slow_consumer=SlowConsumer.CONFLATE)),
        ("chat", ChannelOptions()),
    ]
)
LARGE = b'"' + b"x" * 300_000 + b'"'
"""Publication of which four exceed the limit."""


def shown(connection: RecordingConnection) -> list[tuple[object, object]]:
    """Return data and tags of the publications written since the last call."""
    pushes = [dig(document, "push", "pub") for document in connection.take() if isinstance(document, dict)]
    return [(pub["data"], pub.get("tags")) for pub in pushes if isinstance(pub, dict)]


async def subscribed(*channels: str) -> tuple[Node, Session, RecordingConnection]:
    """Return a client of these channels."""
    node = make_node(namespaces=NAMESPACES)
    await node.start()
    session, connection = connected(node)
    send(session, *({"id": number, "subscribe": {"channel": name}} for number, name in enumerate(channels, 2)))
    await settle()
    connection.take()
    return node, session, connection


async def settle() -> None:
    """Run all tasks until they wait."""
    for _ in range(20):
        await asyncio.sleep(0)


async def publish(node: Node, channel: str, data: bytes, **tags: str) -> None:
    """Publish as a backend does."""
    await ServerApi(node).publish(channel, Message(data, tags=tags))


async def test_what_waited_comes_when_the_client_reads_again() -> None:
    """Publications within the limit arrive in order without loss."""
    node, session, connection = await subscribed("log:a")
    connection.congested = True
    for number in range(3):
        await publish(node, "log:a", b"%d" % number)
    assert shown(connection) == []
    assert session.lags()
    connection.congested = False
    session.on_writable()
    await settle()
    await publish(node, "log:a", b"3")
    assert shown(connection) == [(0, None), (1, None), (2, None), (3, None)]
    assert not session.lags()
    await node.stop()


async def test_a_burst_is_held_before_the_loop_tells_that_the_client_lags() -> None:
    """What the kernel refuses shows at once; the outbox is not filled up to its bound within one iteration."""
    node, session, connection = await subscribed("log:a")
    connection.refused = 1
    for number in range(3):
        await publish(node, "log:a", b"%d" % number)
    assert shown(connection) == []
    connection.refused = 0
    await settle()
    assert shown(connection) == [(0, None), (1, None), (2, None)]
    assert not session.lags()
    await node.stop()


async def test_the_oldest_are_left_out_and_told() -> None:
    """The next publication of the channel reports the drops, and they are counted."""
    node, session, connection = await subscribed("log:a", "log:b")
    connection.congested = True
    await publish(node, "log:a", b"1")
    for _ in range(4):
        await publish(node, "log:b", LARGE)
    connection.congested = False
    session.on_writable()
    await settle()
    await publish(node, "log:a", b"2")
    got = [(len(str(data)), tags) for data, tags in shown(connection)]
    assert got == [
        (1, None),
        (300_000, {"realtime.dropped": "1"}),
        (300_000, None),
        (300_000, None),
        (1, None),
    ]
    assert node.counters.publications_dropped == {"dropOldest": 1}
    await node.stop()


async def test_of_each_key_the_newest_comes() -> None:
    """The newest publication reports the number it replaces, beside its own tags."""
    node, session, connection = await subscribed("price:eu")
    connection.congested = True
    for number, key in enumerate(("ACME", "INIT", "ACME", "ACME")):
        await publish(node, "price:eu", b"%d" % number, key=key)
    connection.congested = False
    session.on_writable()
    assert shown(connection) == [(1, {"key": "INIT"}), (3, {"key": "ACME", "realtime.conflated": "2"})]
    assert node.counters.publications_dropped == {"conflate": 2}
    await node.stop()


async def test_what_is_held_goes_out_in_parts() -> None:
    """Parts are smaller than an outbox; the rest follows unless the client lags again."""
    node, session, connection = await subscribed("log:a")
    connection.congested = True
    for _ in range(3):
        await publish(node, "log:a", LARGE)
    connection.congested = False
    session.on_writable()
    assert len(shown(connection)) == 1
    connection.congested = True
    await settle()
    assert shown(connection) == []
    connection.congested = False
    session.on_writable()
    await settle()
    assert len(shown(connection)) == 2
    await node.stop()


async def test_other_channels_are_not_held_back() -> None:
    """Publications of a channel without a drop policy go to the outbox, which is bounded."""
    node, _, connection = await subscribed("log:a", "chat:a")
    connection.congested = True
    await publish(node, "log:a", b"1")
    await publish(node, "chat:a", b"2")
    assert shown(connection) == [(2, None)]
    await node.stop()


@pytest.mark.parametrize("ends", ["unsubscribe", "disconnect"])
async def test_what_is_held_ends_with_the_subscription(ends: str) -> None:
    """No publication follows the reply to an unsubscribe."""
    node, session, connection = await subscribed("log:a")
    connection.congested = True
    await publish(node, "log:a", b"1")
    if ends == "unsubscribe":
        send(session, {"id": 9, "unsubscribe": {"channel": "log:a"}})
        await settle()
        assert connection.take() == [{"id": 9, "unsubscribe": {}}]
    else:
        session.on_closed()
    connection.congested = False
    session.on_writable()
    await settle()
    assert connection.take() == []
    assert not session.lags()
    await node.stop()
