"""Admission of clients, and the channels that they get with their connection."""

from __future__ import annotations

import asyncio

import pytest

from realtime_operator.api.base import JsonObject
from realtime_server import codes
from realtime_server.core.auth.claims import Claims
from realtime_server.core.model.channel_options import ChannelOptions
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.core.model.values import HistoryOptions
from realtime_server.core.ports.api import Message
from realtime_server.core.ports.backend import Connected, Connecting, Hook, NoBackend
from realtime_server.core.server_api import ServerApi
from tests.kit.document import dig, object_at, objects_at
from tests.kit.server_doubles import SECRET, RecordingConnection, accept, connected, make_node, send
from tests.kit.tokens import connection_token

KEPT = HistoryOptions(10, 60.0)
NAMESPACES = Namespaces(
    [
        ("inbox", ChannelOptions(personal_channel=True, history=KEPT, recovery=True)),
        ("alerts", ChannelOptions(personal_channel=True)),
        ("news", ChannelOptions()),
    ]
)


async def settle() -> None:
    """Run all tasks until they wait."""
    for _ in range(30):
        await asyncio.sleep(0)


def reply(connection: RecordingConnection) -> JsonObject:
    """Return the only message that was sent since the last call."""
    (written,) = connection.take()
    assert isinstance(written, dict)
    return written


def subscriptions(connection: RecordingConnection) -> JsonObject:
    """Return the subscriptions in the connect reply."""
    return object_at(reply(connection), "connect", "subs")


async def test_a_user_is_subscribed_to_its_personal_channels() -> None:
    """Its token's channels are kept, each once."""
    node = make_node(namespaces=NAMESPACES, channels=5)
    session, connection = accept(node)
    send(session, {"id": 1, "connect": {"token": connection_token(SECRET, "42", channels=["news:1", "inbox:#42"])}})
    await settle()
    subs = subscriptions(connection)
    assert set(subs) == {"news:1", "inbox:#42", "alerts:#42"}
    assert set(session.subscriptions) == set(subs)


class Backend(NoBackend):
    """Backend that identifies everybody without a token as user 42."""

    def asks(self, hook: Hook, channel: str = "") -> bool:
        """Return True for the connect hook."""
        del channel
        return hook is Hook.CONNECT

    async def connect(self, request: Connecting) -> Connected:
        """Admit the client, with a channel of the backend's choice."""
        del request
        return Connected(Claims("42", channels=("news:1",)))


async def test_so_is_one_whom_the_backend_names() -> None:
    """The connect hook identifies the user."""
    node = make_node(namespaces=NAMESPACES, channels=5, backend=Backend())
    session, _ = accept(node)
    send(session, {"id": 1, "connect": {}})
    await settle()
    assert set(session.subscriptions) == {"news:1", "inbox:#42", "alerts:#42"}


async def test_a_refreshed_token_keeps_them() -> None:
    """Personal channels do not depend on the token."""
    node = make_node(namespaces=NAMESPACES, channels=5)
    session, _ = connected(node, connection_token(SECRET, "42"))
    await settle()
    send(session, {"id": 2, "refresh": {"token": connection_token(SECRET, "42")}})
    await settle()
    assert session.claims is not None
    assert set(session.claims.channels) == set(session.subscriptions) == {"inbox:#42", "alerts:#42"}


async def test_an_anonymous_client_has_none() -> None:
    """An anonymous client is admitted at once."""
    session, _ = connected(make_node(namespaces=NAMESPACES))
    assert session.welcome
    assert session.subscriptions == {}


async def test_what_was_missed_is_recovered() -> None:
    """Recovery works as in other server-side channels."""
    node = make_node(namespaces=NAMESPACES)
    token = connection_token(SECRET, "42")
    session, connection = accept(node)
    send(session, {"id": 1, "connect": {"token": token}})
    await settle()
    epoch = dig(subscriptions(connection), "inbox:#42", "epoch")
    session.on_closed()
    await ServerApi(node).publish("inbox:#42", Message(b'"missed"'))
    again, connection = accept(node)
    recover = {"recover": True, "epoch": epoch, "offset": 0}
    send(again, {"id": 1, "connect": {"token": token, "subs": {"inbox:#42": recover}}})
    await settle()
    found = dig(subscriptions(connection), "inbox:#42")
    assert dig(found, "recovered") is True
    assert [dig(publication, "data") for publication in objects_at(found, "publications")] == ["missed"]


async def test_others_cannot_subscribe_to_it() -> None:
    """Others get error 103; the owner, which has the channel already, gets 105."""
    node = make_node(namespaces=NAMESPACES, channels=5)
    for user, code in (("43", 103), ("42", 105)):
        session, connection = accept(node)
        send(session, {"id": 1, "connect": {"token": connection_token(SECRET, user)}})
        await settle()
        connection.take()
        send(session, {"id": 2, "subscribe": {"channel": "inbox:#42"}})
        await settle()
        assert dig(reply(connection), "error", "code") == code


@pytest.mark.parametrize("length", [240, 300])
async def test_a_user_whose_channel_cannot_be_is_told(length: int) -> None:
    """The client gets error 102, instead of a connection without the user's messages."""
    node = make_node(namespaces=NAMESPACES)
    session, connection = accept(node)
    send(session, {"id": 1, "connect": {"token": connection_token(SECRET, "u" * length)}})
    await settle()
    assert dig(reply(connection), "error", "code") == (None if length == 240 else 102)
    assert session.welcome == (length == 240)


async def test_a_session_that_goes_on_ends_the_one_before() -> None:
    """Its connection is dead, though nobody has noticed yet."""
    node = make_node()
    before, connection = connected(node, connection_token(SECRET, "42"))
    after, _ = connected(node, connection_token(SECRET, "42"))
    client = before.client
    node.operations.entry.rename(after, client)
    assert (before.closed, connection.closed_by) == (True, codes.STALE)
    assert (after.closed, after.client) == (False, client)
    node.operations.entry.rename(after, client)
    assert not after.closed
