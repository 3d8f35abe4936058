"""Refresh of a connection with a token of other content."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_server import codes
from realtime_server.backplane.memory import MemoryBroker
from realtime_server.core.model.channel_options import Access, ChannelOptions, SubscribePermission
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.grant import Grant
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.core.model.values import HistoryOptions
from realtime_server.core.node import Node
from realtime_server.core.ports.api import Connections, Message
from realtime_server.core.server_api import ServerApi
from realtime_server.core.sessions.session import Session
from tests.kit.document import object_at, parse
from tests.kit.server_doubles import SECRET, RecordingConnection, accept, make_node, send
from tests.kit.tokens import connection_token, subscription_token

NAMESPACES = Namespaces(
    [
        ("news", ChannelOptions(presence=True, join_leave=True, presence_for=Access.NOBODY)),
        ("kept", ChannelOptions(history=HistoryOptions(10, 60.0), recovery=True)),
        ("team", ChannelOptions(subscribe=SubscribePermission.TOKEN, join_leave=True, presence=True,
                                presence_for=Access.NOBODY)),
    ]
)  # fmt: skip


def token(**claims: JsonValue) -> str:
    """Return a connection token that does not expire."""
    return connection_token(SECRET, "ann", lifetime=None, **claims)


async def settle() -> None:
    """Run all tasks until they wait."""
    for _ in range(30):
        await asyncio.sleep(0)


class Client:
    """Client that is connected with the channels of its token."""

    def __init__(self, node: Node, **claims: JsonValue) -> None:
        self.node = node
        self.session: Session
        self.connection: RecordingConnection
        self.session, self.connection = accept(node)
        self.command = 1
        self.ask(connect={"token": token(**claims)})

    def ask(self, **command: JsonValue) -> None:
        """Send a command."""
        send(self.session, {"id": self.command, **command})
        self.command += 1

    async def refresh(self, **claims: JsonValue) -> list[JsonObject]:
        """Refresh the token, and return what the client got, the reply first."""
        await settle()
        self.taken()
        self.ask(refresh={"token": token(**claims)})
        await settle()
        return self.taken()

    def taken(self) -> list[JsonObject]:
        """Return what was written since the last call."""
        written, self.connection.written = self.connection.written, []
        return [document for message in written for document in map(parse, message.splitlines())]

    @property
    def channels(self) -> set[str]:
        """Return the channels of the client's subscriptions."""
        return set(self.session.subscriptions)


def pushes(got: list[JsonObject]) -> dict[str, list[str]]:
    """Return the kinds of the pushes, by channel."""
    found: dict[str, list[str]] = {}
    for document in got:
        if "push" in document:
            push = dict(object_at(document, "push"))
            found.setdefault(str(push.pop("channel")), []).extend(push)
    return found


def overrides(**switches: bool) -> JsonObject:
    """Return a claim `subs` with the options of one channel."""
    return {"override": {name: {"value": value} for name, value in switches.items()}}


@pytest.fixture
async def node() -> Node:
    """Start a node."""
    made = make_node(namespaces=NAMESPACES, channels=4)
    await made.broker.start(made)
    return made


async def test_what_is_taken_away_is_unsubscribed_and_what_is_new_is_subscribed(node: Node) -> None:
    """Other channels stay, and the reply to the refresh comes first."""
    client = Client(node, channels=["news:stays", "news:goes"])
    got = await client.refresh(channels=["news:stays", "kept:new"])
    assert client.channels == {"news:stays", "kept:new"}
    assert "refresh" in got[0]
    assert pushes(got) == {"news:goes": ["unsubscribe"], "kept:new": ["subscribe"]}
    await ServerApi(node).publish("news:goes", Message(b"1"))
    await ServerApi(node).publish("kept:new", Message(b"2"))
    assert pushes(client.taken()) == {"kept:new": ["pub"]}


async def test_the_same_channels_change_nothing(node: Node) -> None:
    """Nothing is unsubscribed, so that no publication is lost."""
    client = Client(node, subs={"news:a": {}, "kept:b": {"info": 1}})
    got = await client.refresh(subs={"kept:b": {"info": 1}, "news:a": {}})
    assert (client.channels, pushes(got)) == ({"news:a", "kept:b"}, {})


@pytest.mark.parametrize("how", ["client", "api", "token"])
async def test_what_is_not_from_the_token_stays(node: Node, how: str) -> None:
    """Subscriptions of the client, the server API or a subscription token stay."""
    client = Client(node, channels=["news:goes"])
    if how == "api":
        await ServerApi(node).subscribe(Connections("ann"), "news:own", Grant())
    else:
        token = {"token": subscription_token(SECRET, "ann", "news:own")} if how == "token" else {}
        client.ask(subscribe={"channel": "news:own", **token})
    got = await client.refresh()
    assert (client.channels, pushes(got)) == ({"news:own"}, {"news:goes": ["unsubscribe"]})


async def test_info_and_meta_are_the_new_ones(node: Node) -> None:
    """The infos of the connection and of a channel, and the meta, are replaced."""
    client = Client(node, info={"v": 1}, meta={"v": 1}, subs={"news:a": {"info": 1}})
    await client.refresh(info={"v": 2}, meta={"v": 2}, subs={"news:a": {"info": 2}})
    info = client.session.info_in("news:a")
    assert info is not None
    assert (info.connection_info, info.channel_info) == (b'{"v":2}', b"2")
    assert client.session.caller().meta == b'{"v":2}'


async def test_another_override_begins_the_subscription_anew(node: Node) -> None:
    """The client is unsubscribed and subscribed again, so that it learns the new options."""
    client = Client(node, subs={"news:a": {}})
    got = await client.refresh(subs={"news:a": overrides(presence=False)})
    assert pushes(got) == {"news:a": ["unsubscribe", "subscribe"]}
    assert client.session.info_in("news:a") is None


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"channels": ["unknown:a"]}, codes.UNKNOWN_CHANNEL),
        ({"subs": {"news:b": overrides(force_recovery=True)}}, codes.NOT_AVAILABLE),
        ({"channels": [f"news:{number}" for number in range(5)]}, codes.LIMIT_EXCEEDED),
    ],
)
async def test_a_token_that_cannot_be_followed_is_refused(
    node: Node, claims: Mapping[str, JsonValue], error: codes.ErrorCode
) -> None:
    """The refresh is refused as a connect would be, and changes nothing."""
    client = Client(node, channels=["news:a"])
    (answer,) = await client.refresh(**claims)
    assert object_at(answer, "error")["code"] == error.code
    assert client.channels == {"news:a"}


# what a client has subscribed to by its permissions

MAY_SUBSCRIBE: list[JsonValue] = [{"channels": ["team:a"], "allow": ["sub"]}]
MAY_SEE: list[JsonValue] = [{"channels": ["team:a"], "allow": ["sub", "prs"]}]


async def test_a_permission_that_is_taken_away_ends_the_subscription(node: Node) -> None:
    """A subscription that only a capability allowed ends."""
    client = Client(node, caps=MAY_SUBSCRIBE)
    client.ask(subscribe={"channel": "team:a"})
    assert pushes(await client.refresh(caps=MAY_SUBSCRIBE)) == {}
    got = await client.refresh()
    assert (client.channels, pushes(got)) == (set(), {"team:a": ["unsubscribe"]})


async def test_who_may_not_ask_who_is_there_is_not_told_who_joins_any_more(node: Node) -> None:
    """The subscription begins again, as the SDK subscribes again after this code."""
    client = Client(node, caps=MAY_SEE)
    client.ask(subscribe={"channel": "team:a", "join_leave": True})
    assert pushes(await client.refresh(caps=MAY_SEE)) == {}
    got = await client.refresh(caps=MAY_SUBSCRIBE)
    assert [object_at(document, "push", "unsubscribe")["code"] for document in got[1:]] == [2500]


async def test_a_server_side_subscription_hears_no_more_than_it_may(node: Node) -> None:
    """The server subscribes the client again."""
    client = Client(node, channels=["team:a"], caps=MAY_SEE)
    got = await client.refresh(channels=["team:a"])
    assert pushes(got) == {"team:a": ["unsubscribe", "subscribe"]}


# another token for one subscription


async def test_another_override_in_a_subscription_token_begins_anew(node: Node) -> None:
    """The reply comes first; then the SDK subscribes again with its new token."""
    client = Client(node)
    client.ask(subscribe={"channel": "news:a", "token": subscription_token(SECRET, "ann", "news:a", info=1)})
    await settle()
    client.taken()
    client.ask(sub_refresh={"channel": "news:a", "token": subscription_token(SECRET, "ann", "news:a", info=2)})
    assert [list(document) for document in client.taken()] == [["id", "sub_refresh"]]
    info = client.session.info_in("news:a")
    assert info is not None
    assert info.channel_info == b"2"
    other = subscription_token(SECRET, "ann", "news:a", **overrides(presence=False))
    client.ask(sub_refresh={"channel": "news:a", "token": other})
    await settle()
    answer, push = client.taken()
    assert "sub_refresh" in answer
    assert object_at(push, "push", "unsubscribe")["code"] == 2500


async def test_a_subscription_with_a_token_is_not_by_permission_any_more(node: Node) -> None:
    """A subscription renewed by a token stays when the permission ends."""
    client = Client(node, caps=MAY_SUBSCRIBE)
    client.ask(subscribe={"channel": "team:a"})
    await settle()
    client.ask(sub_refresh={"channel": "team:a", "token": subscription_token(SECRET, "ann", "team:a")})
    await client.refresh()
    assert client.channels == {"team:a"}


# while the backplane waits, or is away


class GatedBroker(MemoryBroker):
    """Broker whose subscribe calls wait, and fail while `away`."""

    immediate = False

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.away = False

    async def subscribe(self, channel: str) -> None:
        """Wait; then subscribe or fail."""
        await self.gate.wait()
        if self.away:
            raise BackplaneError("away")
        await super().subscribe(channel)


async def test_a_channel_that_is_taken_away_while_it_is_subscribed_to(node: Node) -> None:
    """The newest token counts."""
    broker = GatedBroker()
    node = make_node(broker, namespaces=NAMESPACES)
    await broker.start(node)
    client = Client(node)
    await client.refresh(channels=["news:a", "news:b"])
    await client.refresh(channels=["news:b"])
    broker.gate.set()
    await settle()
    assert client.channels == {"news:b"}


async def test_a_client_that_cannot_be_subscribed_connects_again() -> None:
    """The client reconnects to get its channels, instead of missing them silently."""
    broker = GatedBroker()
    node = make_node(broker, namespaces=NAMESPACES)
    await broker.start(node)
    client = Client(node)
    broker.away = True
    broker.gate.set()
    await client.refresh(channels=["news:a"])
    assert client.connection.closed_by == codes.INSUFFICIENT_STATE
