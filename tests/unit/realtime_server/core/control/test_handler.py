"""Revocation of subscriptions, publications and connections in progress."""

from __future__ import annotations

import asyncio
from collections import deque

import pytest

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.auth.claims import Claims
from realtime_server.core.control import messages
from realtime_server.core.model.grant import Grant
from realtime_server.core.node import Node
from realtime_server.core.ports.api import Connections, Message
from realtime_server.core.ports.backend import Caller, Connected, Connecting, Hook, NoBackend, Published
from realtime_server.core.server_api import ServerApi
from realtime_server.core.sessions.session import Session
from realtime_server.protocols.centrifuge.json_unidirectional import UnidirectionalJsonCodec
from tests.kit.scripted_broker import ScriptedBroker
from tests.kit.server_doubles import SECRET, RecordingConnection, accept, connected, make_node, send
from tests.kit.tokens import connection_token

ALICE = Connections("alice")
DENIED = {"code": 103, "message": "permission denied"}


class SlowBackend(NoBackend):
    """Backend that answers when the test says so, in the order of the requests."""

    def __init__(self, *hooks: Hook) -> None:
        self._hooks = hooks
        self.questions: deque[asyncio.Future[object]] = deque()

    def asks(self, hook: Hook, channel: str = "") -> bool:
        """Return True for the hooks under test."""
        del channel
        return hook in self._hooks

    async def connect(self, request: Connecting) -> Connected | None:
        """See Backend."""
        del request
        answer = await self._answer()
        assert isinstance(answer, Connected)
        return answer

    async def subscribe(self, caller: Caller, channel: str, data: bytes, token: str) -> Grant | None:
        """See Backend."""
        del caller, channel, data, token
        answer = await self._answer()
        assert isinstance(answer, Grant)
        return answer

    async def publish(self, caller: Caller, channel: str, data: bytes) -> Published | None:
        """See Backend."""
        del caller, channel, data
        await self._answer()
        return None

    async def _answer(self) -> object:
        question: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        self.questions.append(question)
        return await question

    async def answer(self, answer: object) -> None:
        """Answer the oldest request that is still awaited."""
        question = self.questions.popleft()
        if not question.done():
            question.set_result(answer)
        await settle()


async def settle() -> None:
    """Run all tasks until they wait."""
    for _ in range(20):
        await asyncio.sleep(0)


async def started(backend: SlowBackend | None = None, broker: ScriptedBroker | None = None) -> Node:
    """Start a node that receives control messages, with generous limits."""
    node = make_node(broker, backend=backend, channels=10)
    await node.start()
    return node


def alice_at(node: Node) -> tuple[Session, RecordingConnection]:
    """Return a client of alice."""
    return connected(node, connection_token(SECRET, "alice"))


def subscribe(command: int, channel: str) -> dict[str, object]:
    """Return a subscribe command."""
    return {"id": command, "subscribe": {"channel": channel}}


async def gets_nothing(node: Node, connection: RecordingConnection, channel: str) -> bool:
    """Return True when a client gets no publications and is not present."""
    connection.take()
    await ServerApi(node).publish(channel, Message(b'"secret"'))
    await settle()
    return connection.take() == [] and dict(node.hub.subscriber_counts()).get(channel) is None


# subscriptions that are being made


async def test_a_subscription_that_the_backend_is_asked_about_is_revoked() -> None:
    """The client is answered at once, the backend's later answer is ignored, and the client may try again."""
    backend = SlowBackend(Hook.SUBSCRIBE)
    node = await started(backend)
    session, connection = alice_at(node)
    send(session, subscribe(2, "chat:a"), {"id": 3, "publish": {"channel": "open:b", "data": 1}})
    await settle()
    await ServerApi(node).unsubscribe(ALICE, "chat:a")
    await settle()
    assert connection.take() == [{"id": 2, "error": DENIED}, {"id": 3, "publish": {}}]
    await backend.answer(Grant())
    assert await gets_nothing(node, connection, "chat:a")
    assert await ServerApi(node).presence("chat:a") == {}
    send(session, subscribe(4, "chat:a"))
    await settle()
    await backend.answer(Grant())
    assert "subscribe" in str(connection.take())
    assert session.has_subscription("chat:a")
    await node.stop()


async def test_other_channels_and_other_users_go_on() -> None:
    """Only the given user and channel are affected."""
    backend = SlowBackend(Hook.SUBSCRIBE)
    node = await started(backend)
    session, connection = alice_at(node)
    other, others = connected(node, connection_token(SECRET, "bob"))
    send(session, subscribe(2, "open:a"))
    send(other, subscribe(2, "open:b"))
    await settle()
    await ServerApi(node).unsubscribe(ALICE, "open:b")
    await ServerApi(node).unsubscribe(Connections("alice", client=other.client), "open:a")
    await settle()
    for _ in range(2):
        await backend.answer(Grant())
    assert (connection.take(), others.take()) == ([{"id": 2, "subscribe": {}}], [{"id": 2, "subscribe": {}}])
    await node.stop()


async def test_a_subscription_that_waits_for_the_backplane_is_revoked() -> None:
    """A revoked subscription that waits for the backplane leaves nothing behind."""
    broker = ScriptedBroker()
    node = await started(broker=broker)
    session, connection = alice_at(node)
    send(session, subscribe(2, "chat:room"))
    await settle()
    node.on_control(_unsubscribe("chat:room"))
    await settle()
    assert connection.take() == [{"id": 2, "error": DENIED}]
    assert node.hub.channels == {}
    await node.stop()


async def test_a_command_that_waits_for_another_is_revoked_too() -> None:
    """Commands that are queued at the revocation are revoked before the backend is asked; later ones are not."""
    backend = SlowBackend(Hook.SUBSCRIBE)
    node = await started(backend)
    session, connection = alice_at(node)
    send(session, subscribe(2, "open:a"), subscribe(3, "open:b"))
    await settle()
    await ServerApi(node).unsubscribe(ALICE, "open:b")
    send(session, subscribe(4, "open:b"))
    for _ in range(2):
        await backend.answer(Grant())
    assert connection.take() == [{"id": 2, "subscribe": {}}, {"id": 3, "error": DENIED}, {"id": 4, "subscribe": {}}]
    await node.stop()


async def test_a_subscription_of_the_server_is_revoked() -> None:
    """The client gets no push."""
    broker = ScriptedBroker()
    node = await started(broker=broker)
    session, connection = alice_at(node)
    call = asyncio.create_task(node.subscriptions.subscribe_server_side(session, "chat:room", Grant(), None))
    await settle()
    node.on_control(_unsubscribe("chat:room"))
    await call
    await settle()
    assert connection.take() == []
    assert node.hub.channels == {}
    await node.stop()


async def test_a_client_that_goes_while_it_is_revoked() -> None:
    """The session ends once."""
    backend = SlowBackend(Hook.SUBSCRIBE)
    node = await started(backend)
    session, connection = alice_at(node)
    send(session, subscribe(2, "open:a"))
    await settle()
    await ServerApi(node).unsubscribe(ALICE, "open:a")
    await ServerApi(node).disconnect(ALICE)
    await settle()
    assert connection.closed_by == codes.FORCE_DISCONNECT
    assert connection.take() == []
    assert node.sessions == {}
    await node.stop()


async def test_a_publication_is_not_made_by_one_that_may_no_more() -> None:
    """A publication that requires a subscription is refused when that ended while the backend was asked."""
    backend = SlowBackend(Hook.PUBLISH)
    node = await started(backend)
    session, connection = alice_at(node)
    send(session, subscribe(2, "chat:a"), {"id": 3, "publish": {"channel": "chat:a", "data": 1}})
    await settle()
    connection.take()
    await ServerApi(node).unsubscribe(ALICE, "chat:a")
    await backend.answer(None)
    assert connection.take()[1:] == [{"id": 3, "error": DENIED}]
    await node.stop()


# connections that are being let in


async def connecting(node: Node) -> tuple[Session, RecordingConnection]:
    """Return a client about which the backend is being asked."""
    session, connection = accept(node)
    send(session, {"id": 1, "connect": {}}, subscribe(2, "open:later"))
    await settle()
    return session, connection


async def test_a_user_is_disconnected_while_the_backend_is_asked_who_it_is() -> None:
    """The disconnect is applied with the call's code once the user is known; other clients are admitted."""
    backend = SlowBackend(Hook.CONNECT)
    node = await started(backend)
    _, alice = await connecting(node)
    _, bob = await connecting(node)
    await ServerApi(node).disconnect(ALICE, code=DisconnectCode(4500, "banned"))
    await backend.answer(Connected(Claims("alice")))
    await backend.answer(Connected(Claims("bob")))
    assert (alice.take(), alice.closed_by) == ([], DisconnectCode(4500, "banned"))
    assert ("connect" in str(bob.take()), bob.closed_by) == (True, None)
    _, again = await connecting(node)
    await backend.answer(Connected(Claims("alice")))
    assert ("connect" in str(again.take()), again.closed_by) == (True, None)
    await node.stop()


async def test_a_user_expires_while_the_backend_is_asked_who_it_is() -> None:
    """The expiry is applied once the user is known."""
    backend = SlowBackend(Hook.CONNECT)
    node = await started(backend)
    _, alice = await connecting(node)
    await ServerApi(node).refresh(ALICE, expired=True)
    await backend.answer(Connected(Claims("alice")))
    assert alice.closed_by == codes.CONNECTION_EXPIRED
    await node.stop()


async def test_a_user_is_unsubscribed_while_the_backend_is_asked_who_it_is() -> None:
    """The backend's channels and the client's pending subscriptions are revoked."""
    backend = SlowBackend(Hook.CONNECT)
    node = await started(backend)
    session, connection = await connecting(node)
    await ServerApi(node).unsubscribe(ALICE, "chat:a")
    await ServerApi(node).unsubscribe(ALICE, "open:later")
    await backend.answer(Connected(Claims("alice", channels=("chat:a", "chat:b"))))
    connect, later = connection.take()
    assert isinstance(connect, dict)
    assert list(connect["connect"]["subs"]) == ["chat:b"]
    assert later == {"id": 2, "error": DENIED}
    assert list(session.subscriptions) == ["chat:b"]
    assert await gets_nothing(node, connection, "chat:a")
    assert await ServerApi(node).presence("chat:a") == {}
    await node.stop()


async def test_a_user_is_subscribed_while_the_backend_is_asked_who_it_is() -> None:
    """The push follows the connect reply; a subscribe after an unsubscribe takes effect."""
    backend = SlowBackend(Hook.CONNECT)
    node = await started(backend)
    session, connection = await connecting(node)
    await ServerApi(node).unsubscribe(ALICE, "chat:a")
    await ServerApi(node).subscribe(ALICE, "chat:a", Grant())
    await backend.answer(Connected(Claims("alice")))
    assert session.has_subscription("chat:a")
    assert "connect" in str(connection.take()[0])
    await node.stop()


async def test_a_channel_of_a_token_is_revoked_while_its_client_comes_in() -> None:
    """A channel of the token is revoked while the subscriptions wait for the backplane."""
    broker = ScriptedBroker()
    node = await started(broker=broker)
    session, connection = accept(node)
    send(session, {"id": 1, "connect": {"token": connection_token(SECRET, "alice", channels=["chat:room", "open:b"])}})
    await settle()
    node.on_control(_unsubscribe("chat:room"))
    node.on_control(_unsubscribe("open:b"))
    broker.read(0)
    broker.answer(0)
    await settle()
    [reply] = connection.take()
    assert isinstance(reply, dict)
    assert "subs" not in reply["connect"]
    assert (dict(session.subscriptions), node.hub.channels) == ({}, {})
    await node.stop()


@pytest.mark.parametrize("channel", ["open:a", "open:b"])
async def test_a_client_that_only_listens_is_sent_away_with_what_it_asked_for(channel: str) -> None:
    """A unidirectional client is disconnected, as it could not see the missing channel."""
    backend = SlowBackend(Hook.SUBSCRIBE)
    node = await started(backend)
    connection = RecordingConnection()
    session = node.accept(connection, UnidirectionalJsonCodec(lambda message: message))
    token = connection_token(SECRET, "alice")
    send(session, {"token": token, "subs": {"open:a": {}, "open:b": {}}})
    await settle()
    await backend.answer(Grant())
    await ServerApi(node).unsubscribe(ALICE, channel)
    await backend.answer(Grant())
    assert connection.closed_by == codes.PERMISSION_DENIED_DISCONNECT
    assert node.hub.channels == {}
    await node.stop()


def _unsubscribe(channel: str) -> bytes:
    return messages.encode(messages.Unsubscribe("alice", "", channel))
