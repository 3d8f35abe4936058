"""Options that differ for one subscription."""

from __future__ import annotations

import asyncio

import pytest

from realtime_operator.api.base import JsonValue
from realtime_server.core.model.channel_options import Access, ChannelOptions, SlowConsumer
from realtime_server.core.model.grant import Override, Switch
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.core.model.values import HistoryOptions
from realtime_server.core.node import Node
from tests.kit.document import dig
from tests.kit.server_doubles import SECRET, WIRE, RecordingConnection, connected, make_node, send
from tests.kit.tokens import connection_token, subscription_token

ON, OFF = Switch(value=True), Switch(value=False)
KEPT = HistoryOptions(10, 60.0)
PLAIN = ChannelOptions()
NAMESPACES = Namespaces(
    [
        ("room", ChannelOptions(history=KEPT, recovery=True, presence=True, join_leave=True)),
        ("quiet", ChannelOptions(join_leave=True, presence=True, presence_for=Access.NOBODY)),
        ("plain", PLAIN),
        ("kept", ChannelOptions(history=KEPT)),
        ("log", ChannelOptions(history=KEPT, force_positioning=True)),
        ("watched", ChannelOptions(join_leave=True, force_push_join_leave=True, presence_for=Access.NOBODY)),
    ]
)


@pytest.mark.parametrize(
    ("override", "options", "why"),
    [
        (Override(), PLAIN, ""),
        (Override(presence=OFF, join_leave=ON, force_push_join_leave=ON, force_recovery=OFF), PLAIN, ""),
        (Override(presence=ON), PLAIN, "override.presence"),
        (Override(presence=ON), ChannelOptions(presence=True), ""),
        (Override(force_recovery=ON), PLAIN, "without history"),
        (Override(force_positioning=ON), PLAIN, "without history"),
        (Override(force_recovery=ON, force_positioning=ON), ChannelOptions(history=KEPT), ""),
        (Override(force_positioning=ON), ChannelOptions(history=KEPT, slow_consumer=SlowConsumer.CONFLATE),
         "override.force_positioning"),
        (Override(force_positioning=OFF, force_push_join_leave=OFF),
         ChannelOptions(history=KEPT, force_positioning=True, join_leave=True, force_push_join_leave=True), ""),
        (Override(force_recovery=ON), ChannelOptions(history=KEPT, slow_consumer=SlowConsumer.CONFLATE),
         "override.force_recovery"),
    ],
)  # fmt: skip
def test_what_a_namespace_cannot_do_is_a_conflict(override: Override, options: ChannelOptions, why: str) -> None:
    """The conflict names the option; switching an option off is no conflict."""
    found = override.conflict(options)
    assert (why in found) if why else not found


async def settle() -> None:
    """Run all tasks until they wait."""
    for _ in range(30):
        await asyncio.sleep(0)


async def subscribed(
    node: Node, user: str, channel: str, **override: JsonValue
) -> tuple[RecordingConnection, JsonValue]:
    """Return a client with a token for the channel, and the reply."""
    session, connection = connected(node, connection_token(SECRET, user))
    token = subscription_token(SECRET, user, channel, override=override)
    send(session, {"id": 2, "subscribe": {"channel": channel, "token": token, "join_leave": True}})
    await settle()
    written = connection.take()
    return connection, next(reply for reply in written if isinstance(reply, dict) and reply.get("id") == 2)


@pytest.fixture
async def node() -> Node:
    """Return a node with these namespaces."""
    made = make_node(namespaces=NAMESPACES)
    await made.broker.start(made)
    return made


async def test_who_is_not_to_be_seen_is_not_present(node: Node) -> None:
    """Nobody is told of it, also when presence is renewed and when it leaves; other members are unaffected."""
    watcher, _ = await subscribed(node, "alice", "room:1")
    hidden, _ = await subscribed(node, "spy", "room:1", presence={"value": False}, join_leave={"value": False})
    await node.hub.renew_presence()
    assert [info.user for info in (await node.hub.presence("room:1")).values()] == ["alice"]
    assert watcher.take() == []
    spy = next(session for session in node.sessions if session.user == "spy")
    spy.drop_subscription("room:1")
    await settle()
    assert watcher.take() == []
    assert [info.user for info in (await node.hub.presence("room:1")).values()] == ["alice"]
    assert hidden.closed_by is None


async def test_recovery_is_for_who_may_have_it(node: Node) -> None:
    """A subscription with recovery is told its position too."""
    _, usual = await subscribed(node, "alice", "room:1")
    _, without = await subscribed(node, "bob", "room:2", force_recovery={"value": False})
    position: dict[str, JsonValue] = {"force_recovery": {"value": False}, "force_positioning": {"value": True}}
    _, positioned = await subscribed(node, "carol", "room:3", **position)
    found = [
        (dig(reply, "subscribe", "recoverable"), dig(reply, "subscribe", "positioned"))
        for reply in (usual, without, positioned)
    ]
    assert found == [(True, True), (None, None), (None, True)]


async def test_positions_are_told_where_the_namespace_says_so(node: Node) -> None:
    """Positions are told without recovery; an override takes precedence, and the client's wish has no effect."""
    _, positioned = await subscribed(node, "alice", "log:1")
    _, without = await subscribed(node, "bob", "log:1", force_positioning={"value": False})
    _, plain = await subscribed(node, "carol", "kept:1")
    found = [
        (dig(reply, "subscribe", "recoverable"), dig(reply, "subscribe", "positioned"))
        for reply in (positioned, without, plain)
    ]
    assert found == [(None, True), (None, None), (None, None)]


async def test_who_joins_is_told_to_everybody_where_the_namespace_says_so(node: Node) -> None:
    """Joins and leaves go to all subscribers, whatever they ask for; an override takes precedence."""
    session, silent = connected(node, connection_token(SECRET, "alice"))
    send(session, {"id": 2, "subscribe": {"channel": "watched:1"}})
    await settle()
    silent.take()
    spared, _ = await subscribed(node, "bob", "watched:1", force_push_join_leave={"value": False})
    await subscribed(node, "carol", "watched:1")
    joined = [
        [dig(push, "push", "join", "info", "user") for push in connection.take() if isinstance(push, dict)]
        for connection in (silent, spared)
    ]
    assert joined == [["bob", "carol"], []]


async def test_what_the_namespace_does_not_have_is_108(node: Node) -> None:
    """Nothing of the subscription is left."""
    _, refused = await subscribed(node, "alice", "plain:1", force_recovery={"value": True})
    assert dig(refused, "error", "code") == 108
    assert node.hub.channels == {}


@pytest.mark.parametrize("forced", [True, False])
async def test_who_may_not_ask_is_told_who_comes_only_by_override(node: Node, *, forced: bool) -> None:
    """An override takes precedence over `presence_for`."""
    watcher, _ = await subscribed(node, "alice", "quiet:1", force_push_join_leave={"value": forced})
    await subscribed(node, "bob", "quiet:1")
    joined = [dig(push, "push", "join", "info", "user") for push in watcher.take() if isinstance(push, dict)]
    assert joined == (["bob"] if forced else [])


async def test_a_channel_that_came_with_the_token_tells_no_more_than_one_that_was_asked_for(node: Node) -> None:
    """A client that may not read presence gets no joins and leaves."""
    session, watcher = connected(node, connection_token(SECRET, "alice", channels=["quiet:1"]))
    await settle()
    assert "quiet:1" in session.subscriptions
    watcher.take()
    await subscribed(node, "bob", "quiet:1")
    assert watcher.take() == []
    assert session.codec is WIRE
