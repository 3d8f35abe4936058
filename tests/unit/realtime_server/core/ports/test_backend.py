"""Requests of sessions to the backend, and the effects of its answers."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from realtime_server import codes
from realtime_server.codes import DisconnectCode, ErrorCode
from realtime_server.core.auth.claims import Claims
from realtime_server.core.limits.limit import NodeLimits
from realtime_server.core.model.errors import CommandError, DisconnectRequestedError
from realtime_server.core.model.grant import Grant
from realtime_server.core.model.values import HistoryQuery
from realtime_server.core.node import Node
from realtime_server.core.ports.backend import (
    Caller,
    Connected,
    Connecting,
    Disconnected,
    Hook,
    HookEvent,
    NoBackend,
    Published,
    Refreshed,
)
from realtime_server.core.sessions.session import Session
from tests.kit.server_doubles import SECRET, Clock, RecordingConnection, accept, make_node, send
from tests.kit.tokens import connection_token

Answer = Connected | Refreshed | Grant | Published | bytes | Exception | None
T = TypeVar("T")


@dataclass
class ScriptedBackend(NoBackend):
    """Backend with prepared answers, which records requests and events."""

    answers: deque[Answer] = field(default_factory=deque)
    asked: list[tuple[object, ...]] = field(default_factory=list)
    events: list[HookEvent] = field(default_factory=list)

    def asks(self, hook: Hook, channel: str = "") -> bool:
        """Return True except for channels that the backend is not asked about."""
        return bool(hook) and not channel.startswith("news:")

    async def connect(self, request: Connecting) -> Connected | None:
        """See Backend."""
        return await self._answer(Connected, request)

    async def refresh(self, caller: Caller) -> Refreshed | None:
        """See Backend."""
        return await self._answer(Refreshed, caller.user)

    async def subscribe(self, caller: Caller, channel: str, data: bytes, token: str) -> Grant | None:
        """See Backend."""
        return await self._answer(Grant, caller.user, channel, data, token)

    async def publish(self, caller: Caller, channel: str, data: bytes) -> Published | None:
        """See Backend."""
        return await self._answer(Published, caller.user, channel, data)

    async def sub_refresh(self, caller: Caller, channel: str) -> Refreshed | None:
        """See Backend."""
        return await self._answer(Refreshed, caller.user, channel)

    async def rpc(self, caller: Caller, method: str, data: bytes) -> bytes:
        """See Backend."""
        return await self._answer(bytes, caller.user, method, data) or b"null"

    def emit(self, event: HookEvent) -> None:
        """See Backend."""
        self.events.append(event)

    async def _answer(self, kind: type[T], *question: object) -> T | None:
        await asyncio.sleep(0)
        self.asked.append(question)
        answer = self.answers.popleft()
        if isinstance(answer, Exception):
            raise answer
        assert answer is None or isinstance(answer, kind)
        return answer


async def settle() -> None:
    """Run all tasks until they wait."""
    for _ in range(20):
        await asyncio.sleep(0)


class World:
    """Node with its backend and a client."""

    def __init__(self, *answers: Answer, anonymous: bool = False) -> None:
        self.backend = ScriptedBackend(deque(answers))
        self.clock, self.wall = Clock(), Clock(1_700_000_000)
        self.node: Node = make_node(anonymous=anonymous, backend=self.backend, clock=self.clock, wall_clock=self.wall)
        self.session, self.connection = self.accept()

    def accept(self) -> tuple[Session, RecordingConnection]:
        """Accept another client."""
        return accept(self.node)

    async def send(self, *commands: object) -> list[object]:
        """Send commands, and return what the client gets."""
        send(self.session, *commands)
        await settle()
        return self.connection.take()

    async def beat(self, seconds: float) -> None:
        """Advance the clock, and run the node's periodic work."""
        self.clock.now += seconds
        self.wall.now += seconds
        self.session.take_pong()
        await self.node._beat()
        await settle()


ALICE = Connected(Claims(user="alice", info=b'{"name":"A"}'), data=b'{"hello":1}')
CONNECT: dict[str, object] = {"id": 1, "connect": {"data": {"ticket": 7}, "name": "js", "version": "1"}}


def fails(command: int, error: ErrorCode) -> object:
    """Return the error reply to a command."""
    document: dict[str, object] = {"code": error.code, "message": error.message}
    return {"id": command, "error": document | ({"temporary": True} if error.temporary else {})}


# connect


async def test_the_backend_lets_a_client_in_that_has_no_token() -> None:
    """The backend sets user and data; commands sent along with the connect are executed after it."""
    world = World(ALICE, Grant())
    replies = await world.send(CONNECT, {"id": 2, "subscribe": {"channel": "open:a"}}, {"send": {"data": 1}})
    connect = {"client": world.session.client, "version": "0", "ping": 25, "pong": True, "data": {"hello": 1}}
    assert replies == [{"id": 1, "connect": connect}, {"id": 2, "subscribe": {}}]
    ((question,), subscribed) = world.backend.asked
    assert isinstance(question, Connecting)
    assert (question.data, question.name, question.version) == (b'{"ticket": 7}'.replace(b" ", b""), "js", "1")
    assert question.caller.user == ""
    assert subscribed == ("alice", "open:a", b"", "")
    assert world.session.client_info().connection_info == b'{"name":"A"}'


async def test_a_client_with_a_token_is_not_asked_about() -> None:
    """The token identifies the client."""
    world = World()
    token = connection_token(SECRET, "bob", lifetime=None)
    [reply] = await world.send({"id": 1, "connect": {"token": token}})
    assert "connect" in str(reply)
    assert world.session.user == "bob"


async def test_a_refused_client_takes_what_follows_with_it() -> None:
    """Later commands of the message are dropped, and the client may try again."""
    world = World(CommandError(ErrorCode(1001, "no ticket")), ALICE)
    replies = await world.send(CONNECT, {"id": 2, "rpc": {"method": "pay"}})
    assert replies == [fails(1, ErrorCode(1001, "no ticket"))]
    assert len(world.backend.asked) == 1
    assert "connect" in str(await world.send({"id": 3, "connect": {}}))


async def test_the_backend_may_close_the_connection() -> None:
    """The backend's own code is used."""
    banned = DisconnectCode(4500, "banned")
    world = World(DisconnectRequestedError(banned))
    assert await world.send(CONNECT) == []
    assert world.connection.closed_by == banned
    assert world.backend.events == []


@pytest.mark.parametrize("anonymous", [True, False])
async def test_without_an_answer_it_is_as_without_a_hook(*, anonymous: bool) -> None:
    """With the policy `allow`, a backend that is down is treated as no hook."""
    world = World(None, anonymous=anonymous)
    [reply] = await world.send(CONNECT)
    assert ("connect" in str(reply)) is anonymous
    assert anonymous or reply == fails(1, codes.UNAUTHORIZED)


async def test_a_second_connect_while_the_first_waits() -> None:
    """A second connect is a protocol error, also while the first one waits."""
    world = World(ALICE)
    await world.send(CONNECT, {"id": 2, "connect": {}})
    assert world.connection.closed_by == codes.BAD_REQUEST_DISCONNECT


async def test_the_backend_subscribes_a_client() -> None:
    """Others see the info, and the subscriber gets the data."""
    grants = {"chat:a": Grant(info=b'"x"', data=b"[1]")}
    world = World(Connected(Claims("alice", channels=("chat:a",), grants=grants)))
    [reply] = await world.send(CONNECT)
    assert isinstance(reply, dict)
    assert reply["connect"]["subs"]["chat:a"]["data"] == [1]
    members = await world.node.hub.presence("chat:a")
    assert [info.channel_info for info in members.values()] == [b'"x"']


# the other questions


async def test_the_backend_decides_about_subscriptions() -> None:
    """The backend may permit private channels; the namespace decides about channels that it is not asked about."""
    world = World(ALICE, CommandError(codes.PERMISSION_DENIED), Grant(data=b"{}", expires_at=1_700_000_060.0))
    replies = await world.send(
        CONNECT,
        {"id": 2, "subscribe": {"channel": "open:a", "data": {"x": 1}, "token": "t"}},
        {"id": 3, "subscribe": {"channel": "$open:b"}},
        {"id": 4, "subscribe": {"channel": "news:c"}},
        {"id": 5, "subscribe": {"channel": "other:d"}},
    )
    assert replies[1:] == [
        fails(2, codes.PERMISSION_DENIED),
        {"id": 3, "subscribe": {"data": {}, "expires": True, "ttl": 60}},
        {"id": 4, "subscribe": {}},
        fails(5, codes.UNKNOWN_CHANNEL),
    ]
    assert world.backend.asked[1:] == [("alice", "open:a", b'{"x":1}', "t"), ("alice", "$open:b", b"", "")]


async def test_the_backend_may_change_what_is_published() -> None:
    """The backend may replace the data, refuse it, or keep it out of the history."""
    world = World(ALICE, Grant(), Published(b'"better"'), Published(skip_history=True), CommandError(codes.BAD_REQUEST))
    publish = {"publish": {"channel": "chat:a", "data": "hi"}}
    replies = await world.send(
        CONNECT, {"id": 2, "subscribe": {"channel": "chat:a"}}, *({"id": n, **publish} for n in (3, 4, 5))
    )
    assert replies[-1] == fails(5, codes.BAD_REQUEST)
    page = await world.node.hub.history("chat:a", HistoryQuery(-1))
    assert len(page.publications) == 1
    assert b"better" in page.publications[0].encoded


async def test_what_the_backend_makes_of_a_publication_has_to_fit() -> None:
    """Data beyond the limit is refused, as it would disconnect every subscriber as slow."""
    world = World(ALICE, Grant(), Published(b'"' + b"x" * NodeLimits(1, 1).reply_bytes + b'"'))
    commands = (
        {"id": 2, "subscribe": {"channel": "chat:a"}},
        {"id": 3, "publish": {"channel": "chat:a", "data": "hi"}},
    )
    replies = await world.send(CONNECT, *commands)
    assert replies[-1] == fails(3, codes.LIMIT_EXCEEDED)


async def test_the_backend_answers_calls() -> None:
    """Replies come in the order of the commands."""
    world = World(ALICE, b'{"sum":3}', CommandError(ErrorCode(404, "no such method")))
    replies = await world.send(
        CONNECT, {"id": 2, "rpc": {"method": "add", "data": [1, 2]}}, {"id": 3, "rpc": {"method": "divide"}}
    )
    assert replies[1:] == [{"id": 2, "rpc": {"data": {"sum": 3}}}, fails(3, ErrorCode(404, "no such method"))]
    assert world.backend.asked[1:] == [("alice", "add", b"[1,2]"), ("alice", "divide", b"")]


# time


def until(seconds: float) -> Connected:
    """Admit a client until a time, at which the backend is asked again."""
    return Connected(Claims("alice", expires_at=1_700_000_000 + seconds, renewed_by_hook=True))


async def test_a_connection_is_renewed_by_the_backend() -> None:
    """The client is not involved."""
    world = World(until(60), Refreshed(1_700_000_200.0))
    [reply] = await world.send(CONNECT)
    assert "expires" not in str(reply)
    await world.beat(62)
    assert world.backend.asked[1:] == [("alice",)]
    await world.beat(60)
    assert (world.connection.closed_by, len(world.backend.asked)) == (None, 2)


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Refreshed(expired=True), codes.CONNECTION_EXPIRED),
        (CommandError(codes.PERMISSION_DENIED), codes.CONNECTION_EXPIRED),
        (DisconnectRequestedError(DisconnectCode(4001, "bye")), DisconnectCode(4001, "bye")),
        (None, None),
    ],
    ids=["expired", "refused", "disconnected", "down"],
)
async def test_a_connection_that_is_not_renewed_ends(answer: Answer, code: DisconnectCode | None) -> None:
    """When the backend is down and the policy is `allow`, it is asked again later."""
    world = World(until(60), answer, Refreshed(expired=True))
    await world.send(CONNECT)
    await world.beat(62)
    assert world.connection.closed_by == code
    if code is None:
        await world.beat(20)
        assert world.connection.closed_by is None
        await world.beat(20)
        assert world.connection.closed_by == codes.CONNECTION_EXPIRED


async def test_a_subscription_ends_when_its_time_is_over() -> None:
    """The code makes the SDK subscribe again."""
    world = World(ALICE, Grant(expires_at=1_700_000_060.0))
    await world.send(CONNECT, {"id": 2, "subscribe": {"channel": "open:a"}})
    await world.beat(20)
    assert "open:a" in world.session.subscriptions
    await world.beat(42)
    unsubscribe = {"code": 2501, "reason": "expired"}
    assert {"push": {"channel": "open:a", "unsubscribe": unsubscribe}} in world.connection.take()
    assert world.session.subscriptions == {}


async def test_a_subscription_of_the_server_takes_the_connection_with_it() -> None:
    """The code 3006 makes the SDK reconnect, which restores the subscription."""
    grants = {"open:a": Grant(expires_at=1_700_000_060.0)}
    world = World(Connected(Claims("alice", channels=("open:a",), grants=grants)))
    await world.send(CONNECT)
    await world.beat(62)
    assert world.connection.closed_by == codes.SUBSCRIPTION_EXPIRED


@pytest.mark.parametrize(
    ("answer", "goes_on"),
    [(Refreshed(1_700_000_200.0), True), (None, True), (Refreshed(expired=True), False),
     (CommandError(codes.PERMISSION_DENIED), False)],
    ids=["renewed", "down", "expired", "refused"],
)  # fmt: skip
async def test_a_subscription_is_renewed_by_the_backend(answer: Answer, *, goes_on: bool) -> None:
    world = World(ALICE, Grant(expires_at=1_700_000_060.0, renewed_by_hook=True), answer)
    replies = await world.send(CONNECT, {"id": 2, "subscribe": {"channel": "open:a"}})
    assert replies[1] == {"id": 2, "subscribe": {}}
    await world.beat(62)
    assert ("open:a" in world.session.subscriptions) is goes_on
    assert world.connection.closed_by is None


# events


async def test_the_backend_is_told_who_has_gone() -> None:
    """The event has the code and the duration of the connection; clients that were not admitted cause none."""
    world = World(ALICE)
    await world.send(CONNECT)
    world.clock.now += 5
    world.session.disconnect(codes.NO_PONG)
    stranger, _ = world.accept()
    stranger.on_closed()
    assert world.backend.events == [Disconnected(world.session.client, "alice", 3012, "no pong", 5.0)]
