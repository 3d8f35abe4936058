"""Consistency of limits: what a client got step by step, it can ask for at once."""

from __future__ import annotations

import asyncio
import json

from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.limits.limit import TOKEN_BYTES, Limit, NodeLimits
from tests.kit.document import dig
from tests.kit.server_doubles import RecordingConnection, connected, make_node, send

CHANNELS = 6
SIZES = st.one_of(st.integers(1, 2_500), st.integers(1, 14_000))
NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=60)
STEPS = st.lists(st.tuples(st.sampled_from(["subscribe", "unsubscribe"]), NAMES, SIZES), max_size=30)


def replied(connection: RecordingConnection) -> bool:
    """Return True when the last command was not refused."""
    reply = json.loads(connection.written[-1])
    connection.written.clear()
    assert dig(reply, "error", "code") in {None, 102, 103, 105, 106}
    return "error" not in reply


@given(STEPS)
def test_all_subscriptions_of_a_legal_session_fit_into_one_frame(steps: list[tuple[str, str, int]]) -> None:
    """The worst case has the longest connection token and data, positions, and escaped names."""
    asyncio.run(subscribe_and_come_back(steps))


async def subscribe_and_come_back(steps: list[tuple[str, str, int]]) -> None:
    """Execute the steps, and check that all of the client's subscriptions fit into one frame."""
    node = make_node(channels=CHANNELS, messages=100_000)
    session, connection = connected(node)
    held: dict[str, dict[str, object]] = {}
    for number, (action, name, size) in enumerate(steps, 2):
        channel = f"open:{name}"
        if action == "unsubscribe":
            send(session, {"id": number, "unsubscribe": {"channel": channel}})
            held.pop(channel, None)
            connection.written.clear()
        else:
            wanted: dict[str, object] = {"channel": channel, "data": "d" * size}
            send(session, {"id": number, "subscribe": wanted})
            if replied(connection):
                held[channel] = wanted
    position = {"recover": True, "epoch": "e" * 8, "offset": 2**53, "recoverable": True, "positioned": True}
    flags = {"join_leave": True, "delta": "fossil", "flag": 3, "token": ""}
    limits = node.settings.limits
    connect = {"id": 1, "connect": {"token": "t" * TOKEN_BYTES, "data": "d" * (limits.message_bytes - 2)}}
    back = [{"id": 2**32 - 1, "subscribe": {**wanted, **position, **flags}} for wanted in held.values()]
    assert len("\n".join(json.dumps(command) for command in (connect, *back))) <= limits.frame_bytes
    assert set(session.subscriptions) == set(held)


def test_one_frame_may_wait_whatever_the_outbox_holds() -> None:
    """A reconnecting client is not disconnected because Redis makes it wait."""
    limits = NodeLimits(channels_per_connection=1000, messages_per_second=1, outbox_bytes=1024)
    assert limits.waiting_bytes > limits.frame_bytes
    assert limits.waiting_commands > limits.channels_per_connection
    assert limits.message_burst > limits.channels_per_connection


async def test_what_the_server_adds_takes_room_too() -> None:
    """A channel from the server API is left out where subscriptions with long tokens have used the room."""
    node = make_node(channels=2, messages=1000)
    session, connection = connected(node)
    send(session, {"id": 2, "subscribe": {"channel": "open:a", "data": "d" * 3_000}})
    assert replied(connection)
    assert not session.fits("open:b")
    assert node.counters.limits[Limit.SUBSCRIPTION_BYTES] == 1
    session.drop_subscription("open:a")
    assert session.fits("open:b")
