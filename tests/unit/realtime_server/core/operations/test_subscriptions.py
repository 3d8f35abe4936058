"""Subscriptions that come with a connection: all of them or none."""

from __future__ import annotations

import asyncio

import pytest

from realtime_server import codes
from realtime_server.core.auth.claims import Claims
from realtime_server.core.channels.join import Join, Wanted
from realtime_server.core.model.errors import CommandError
from realtime_server.core.model.grant import PLAIN
from realtime_server.core.node import Node
from realtime_server.core.sessions.session import Session
from tests.kit.server_doubles import accept, make_node

WANTED = (Wanted(server_side=True), PLAIN)


async def admitted() -> tuple[Node, Session]:
    """Return a session that is admitted, but has no reply to its connect yet."""
    node = make_node()
    await node.start()
    session, _ = accept(node)
    assert node.operations.entry.admit(session, Claims(user="alice"))
    return node, session


async def joined(node: Node, session: Session, *channels: str, own: tuple[str, ...] = ()) -> list[Join]:
    """Join channels along with a connection."""
    wanted = dict.fromkeys(channels, WANTED)
    return await node.operations.subscriptions.join_all(session, wanted, own=own)


async def vacant(node: Node, channel: str) -> bool:
    """Return True when a channel is given up once all tasks wait."""
    for _ in range(20):
        await asyncio.sleep(0)
    return channel not in node.hub.channels


async def test_all_channels_are_ready_and_begin_together() -> None:
    node, session = await admitted()
    joins = await joined(node, session, "open:a", "chat:b")
    assert not session.subscriptions
    for join in joins:
        join.complete()
    assert list(session.subscriptions) == ["open:a", "chat:b"]
    await node.stop()


async def test_none_is_joined_when_one_cannot_be() -> None:
    """What was joined before is given up: the channel has nobody."""
    node, session = await admitted()
    with pytest.raises(CommandError) as caught:
        await joined(node, session, "open:a", "unknown:b")
    assert caught.value.error is codes.UNKNOWN_CHANNEL
    assert await vacant(node, "open:a")
    await node.stop()


async def test_an_own_channel_that_was_revoked_is_left_out() -> None:
    node, session = await admitted()
    session.revoke("open:a")
    assert [join.channel for join in await joined(node, session, "open:a", "open:b", own=("open:a",))] == ["open:b"]
    await node.stop()


async def test_a_requested_channel_that_was_revoked_is_refused() -> None:
    node, session = await admitted()
    session.revoke("open:b")
    with pytest.raises(CommandError) as caught:
        await joined(node, session, "open:a", "open:b", own=("open:a",))
    assert caught.value.error is codes.PERMISSION_DENIED
    assert await vacant(node, "open:a")
    await node.stop()
