"""Permissions of clients in channels, on a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.document import dig
from tests.kit.raw_client import raw_client
from tests.kit.server_process import TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token, subscription_token

KEPT: JsonObject = {"size": 10, "ttl_seconds": 60}
NAMESPACES: list[JsonValue] = [
    {"name": "news", "history": KEPT, "presence": True},
    {"name": "room", "subscribe": "authenticated", "publish": "subscribers", "history": KEPT, "history_for": "nobody"},
    {"name": "team", "subscribe": "token", "presence": True, "presence_for": "nobody"},
    {"name": "watched", "presence": True, "join_leave": True},
    {"name": "secret", "presence": True, "join_leave": True, "presence_for": "nobody"},
    {"name": "wall", "publish": "anyone", "history": KEPT, "history_for": "anyone"},
]
CAPS: list[JsonValue] = [
    {"channels": ["team:red"], "allow": ["sub", "prs"]},
    {"channels": ["room:*"], "match": "wildcard", "allow": ["hst"]},
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[ServerProcess]:
    """Start a server with these namespaces."""
    async with ServerProcess("permissions", None, namespaces=NAMESPACES) as process:
        yield process


async def outcome(server: ServerProcess, token: str, *commands: JsonObject) -> list[JsonValue]:
    """Return the error code of each command after the connect, 0 for none."""
    async with raw_client(server.url) as client:
        await client.command(id=1, connect={"token": token})
        replies = [await client.command(id=number, **one) for number, one in enumerate(commands, 2)]
    return [dig(reply, "error", "code") or 0 for reply in replies]


def subscribe(channel: str, token: str = "") -> JsonObject:
    """Return a subscribe command."""
    return {"subscribe": {"channel": channel, "token": token}}


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("user", "channel", "code"),
    [
        ("alice", "news:1", 0),
        ("", "news:1", 0),
        ("alice", "room:1", 0),
        ("", "room:1", 103),
        ("alice", "team:red", 103),
        ("alice", "news:dialog#alice,bob", 0),
        ("carol", "news:dialog#alice,bob", 103),
        ("", "news:dialog#", 103),
        ("alice", "$news:1", 103),
    ],
)
async def test_who_gets_in(server: ServerProcess, user: str, channel: str, code: int) -> None:
    """The channel's name and its namespace decide."""
    token = connection_token(TOKEN_SECRET, user)
    assert await outcome(server, token, subscribe(channel)) == [code]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_token_for_a_channel_stands_above_its_options(server: ServerProcess) -> None:
    """A subscription token overrides the namespace, and the users in the channel's name."""
    token = connection_token(TOKEN_SECRET, "alice")
    for channel in ("team:red", "$news:1", "news:dialog#bob"):
        own = subscription_token(TOKEN_SECRET, "alice", channel)
        assert await outcome(server, token, subscribe(channel, own)) == [0]


@pytest.mark.asyncio(loop_scope="module")
async def test_what_a_token_allows_besides(server: ServerProcess) -> None:
    """Capabilities apply to their channels and actions only."""
    plain, able = connection_token(TOKEN_SECRET, "alice"), connection_token(TOKEN_SECRET, "alice", caps=CAPS)
    presence: JsonObject = {"presence": {"channel": "team:red"}}
    history: JsonObject = {"history": {"channel": "room:1"}}
    publish: JsonObject = {"publish": {"channel": "team:red", "data": 1}}
    assert await outcome(server, able, subscribe("team:red"), presence, publish) == [0, 0, 103]
    assert await outcome(server, able, subscribe("team:blue")) == [103]
    assert await outcome(server, able, history) == [0]
    assert await outcome(server, plain, subscribe("room:1"), history) == [0, 103]


@pytest.mark.asyncio(loop_scope="module")
async def test_anyone_is_everybody_only_where_everybody_may_subscribe(server: ServerProcess) -> None:
    """In a restricted channel `anyone` means its subscribers."""
    token = connection_token(TOKEN_SECRET, "alice")
    for channel, code in (("wall:1", 0), ("$wall:1", 103), ("wall:1#bob", 103)):
        commands: list[JsonObject] = [{"publish": {"channel": channel, "data": 1}}, {"history": {"channel": channel}}]
        assert await outcome(server, token, *commands) == [code, code]


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(("namespace", "notified"), [("watched", True), ("secret", False)])
async def test_who_may_not_ask_who_is_there_is_not_told_who_comes(
    server: ServerProcess, namespace: str, notified: bool
) -> None:
    """A client that may not read presence gets no joins; a later publication shows that none was under way."""
    channel = f"{namespace}:1"
    async with raw_client(server.url) as watcher, raw_client(server.url) as other:
        for client, user in ((watcher, "alice"), (other, "bob")):
            await client.command(id=1, connect={"token": connection_token(TOKEN_SECRET, user)})
            await client.command(id=2, subscribe={"channel": channel, "join_leave": True})
        async with server.api() as api:
            await api.publish(channel, "end")
        pushes: list[JsonValue] = []
        while not pushes or not dig(pushes[-1], "pub"):
            pushes.append(dig(await watcher.document(), "push"))
    joined = [dig(push, "join", "info", "user") for push in pushes if dig(push, "join")]
    assert ("bob" in joined) == notified
