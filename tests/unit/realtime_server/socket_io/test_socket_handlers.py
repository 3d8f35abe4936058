"""CONNECT and events of clients, on a node with its backplane in memory."""

from __future__ import annotations

import asyncio

import pytest

from realtime_server import codes
from realtime_server.backplane.memory import MemoryBroker
from realtime_server.backplane.memory_sessions import MemorySessionStore
from realtime_server.codes import ErrorCode
from realtime_server.core.auth.claims import Claims
from realtime_server.core.channels.join import Join
from realtime_server.core.model.errors import BackplaneError, CommandError, DisconnectRequestedError
from realtime_server.core.model.session_state import SessionState
from realtime_server.core.operations.ordered_joins import Absence, OrderedJoins
from realtime_server.core.ports.api import Message
from realtime_server.core.ports.backend import Connected, Disconnected, Hook
from realtime_server.core.ports.session_store import Kept
from realtime_server.core.server_api import ServerApi
from realtime_server.core.sessions.session import Session
from realtime_server.socket_io.emissions import emission_of
from realtime_server.socket_io.socket_index import SocketSelection
from tests.kit.server_doubles import SECRET, connected, send
from tests.kit.tokens import connection_token, subscription_token
from tests.unit.realtime_server.socket_io.world import World, settle

TOKEN = connection_token(SECRET, "ann", channels=["chat:a", "news:b"])
TOKEN_WITHOUT_ROOMS = connection_token(SECRET, "ann")
DONE = "[{}]"
ROOM = "the first argument of {} must be the room, a string"
OPTIONS = "the second argument of subscribe must be like {token, data, since: {offset, epoch}}: "
NAME = "the second argument of publish must be the name of an event, a string that is not reserved"
DENIED = "permission denied: this client may not {} this room"
UNKNOWN = "the channel's namespace is not defined"


def error(number: int, code: ErrorCode, why: str = "") -> str:
    """Return the data of an acknowledgement with an error."""
    return f'43{number}[{{"error":{{"code":{code.code},"message":"{why or code.message}"}}}}]'


# CONNECT


async def test_each_namespace_has_claims_and_an_id_of_its_own() -> None:
    """Both sockets are on one connection; each is a session of the node."""
    world = World()
    client = world.open()
    first = await client.connect(auth={"token": TOKEN})
    second = await client.connect("/chat")
    assert {(session.client, session.user) for session in world.node.sessions} == {(first, "ann"), (second, "")}
    assert world.node.counters.connects == 2


async def test_the_channels_of_the_token_are_rooms_from_the_beginning() -> None:
    """What is published in one arrives as an event after the answer to CONNECT."""
    world = World()
    await world.node.start()
    client = world.open()
    await client.connect(auth={"token": TOKEN})
    await ServerApi(world.node).publish("chat:a", Message(b'["greet","you",1]'))
    await ServerApi(world.node).publish("news:b", Message(b'{"text":"hi"}'))
    await settle()
    assert client.take() == ['42["greet","you",1]', '42["message",{"text":"hi"}]']
    await world.node.stop()


@pytest.mark.parametrize(
    ("auth", "answer"),
    [
        ('{"token":"x"}', '44{"message":"invalid token","data":{"code":3500}}'),
        ('{"token":7}', '44{"message":"invalid token","data":{"code":3500}}'),
        (
            f'{{"token":"{connection_token(SECRET, "ann", lifetime=-60)}"}}',
            '44{"message":"token expired","data":{"code":109}}',
        ),
        ("", '44{"message":"unauthorized","data":{"code":101}}'),
        ('{"token":null,"x":1}', '44{"message":"unauthorized","data":{"code":101}}'),
        (
            f'{{"token":"{connection_token(SECRET, "ann", channels=["no:a"])}"}}',
            '44{"message":"unknown channel","data":{"code":102}}',
        ),
        (
            f'{{"token":"{connection_token(SECRET, "ann", channels=["chat:1", "chat:2", "chat:3", "chat:4"])}"}}',
            '44{"message":"channel limit","data":{"code":3505}}',
        ),
    ],
)
async def test_a_refused_client_is_told_why(auth: str, answer: str) -> None:
    """Nothing is left of it; the connection stays, and it may try again."""
    world = World(anonymous=False)
    client = world.open()
    assert await client.ask(f"40{auth}") == [answer]
    assert not world.node.sessions
    assert client.closed_by is None
    assert sum(world.node.counters.connects_failed.values()) <= 1
    await client.connect(auth={"token": TOKEN})


async def test_an_unknown_namespace_is_refused_as_by_the_reference() -> None:
    world = World()
    client = world.open()
    assert await client.ask('40/no,{"token":"x"}') == ['44/no,{"message":"Invalid namespace"}']
    assert not world.node.sessions


async def test_the_backend_decides_about_clients_without_a_token() -> None:
    """Its question has the data of CONNECT."""
    world = World(Hook.CONNECT, answers=[Connected(Claims("bob", channels=("chat:a",)))])
    client = world.open()
    await client.connect("/chat", {"name": "bob"})
    [session] = world.node.sessions
    assert (session.user, [*session.subscriptions]) == ("bob", ["chat:a"])
    assert world.backend.asked == [(b'{"name":"bob"}',)]
    client.text("41/chat,")
    [event] = world.backend.events
    assert isinstance(event, Disconnected)
    assert (event.user, event.code) == ("bob", 3000)


@pytest.mark.parametrize(
    ("refusal", "answer"),
    [
        (CommandError(ErrorCode(1000, "no")), '44/chat,{"message":"no","data":{"code":1000}}'),
        (
            DisconnectRequestedError(codes.FORCE_DISCONNECT),
            '44/chat,{"message":"force disconnect","data":{"code":3503}}',
        ),
    ],
)
async def test_the_backend_refuses(refusal: Exception, answer: str) -> None:
    world = World(Hook.CONNECT, answers=[refusal])
    assert await world.open().ask("40/chat,") == [answer]
    assert not world.node.sessions


async def test_a_client_that_cannot_be_decided_about_comes_back() -> None:
    """The connection is closed, because clients do not try again after a refusal."""
    world = World(Hook.CONNECT, answers=[CommandError(codes.INTERNAL)])
    client = world.open()
    assert await client.ask("40") == []
    assert client.closed_by == codes.SERVER_ERROR


async def test_a_client_beyond_the_rate_of_connects_comes_back() -> None:
    world = World(connects_per_second=1)
    await world.open().connect()
    client = world.open()
    assert await client.ask("40") == []
    assert client.closed_by == codes.SERVER_ERROR


# rooms


async def test_a_room_is_joined_left_and_published_in_by_events() -> None:
    """A room of `/chat` is a channel of `chat`, which clients of the other protocol have too."""
    world = World()
    await world.node.start()
    client = world.open()
    await client.connect("/chat", {"token": connection_token(SECRET, "ann")})
    other, connection = connected(world.node)
    send(other, {"id": 2, "subscribe": {"channel": "chat:a"}})
    await settle()
    connection.take()
    first, second = await client.ask('42/chat,1["subscribe","a"]', '42/chat,2["subscribe","a"]')
    assert (str(first)[:25], second) == ('43/chat,1[{"offset":0,"ep', f"43/chat,2{DONE}")
    assert await client.ask('42/chat,3["publish","a","typing",{"on":true},1]') == [
        '42/chat,["typing",{"on":true},1]',
        f"43/chat,3{DONE}",
    ]
    assert await client.ask('42/chat,["publish","a","message","hi"]') == ['42/chat,["message","hi"]']
    written = [message["push"]["pub"]["data"] for message in connection.take() if isinstance(message, dict)]
    assert written == [["typing", {"on": True}, 1], "hi"]
    assert await client.ask('42/chat,4["unsubscribe","a"]', '42/chat,5["publish","a","x"]') == [
        f"43/chat,4{DONE}",
        error(5, codes.PERMISSION_DENIED, DENIED.format("publish in")).replace("43", "43/chat,", 1),
    ]
    await world.node.stop()


async def test_a_message_that_reads_as_an_event_stays_one() -> None:
    """The argument of `message` is an array that begins with a string."""
    world = World()
    await world.node.start()
    client = world.open()
    await client.connect()
    assert await client.ask('42["subscribe","open:a"]', '42["publish","open:a","message",["a",1]]') == [
        '42["message",["a",1]]'
    ]
    await world.node.stop()


@pytest.mark.parametrize(
    ("event", "code", "why"),
    [
        ('["subscribe"]', codes.BAD_REQUEST, ROOM.format("subscribe")),
        ('["subscribe",7]', codes.BAD_REQUEST, ROOM.format("subscribe")),
        ('["subscribe",""]', codes.BAD_REQUEST, "the room of subscribe must not be empty"),
        ('["subscribe","open:a",7]', codes.BAD_REQUEST, f"{OPTIONS}Expected `object`, got `int`"),
        (
            '["subscribe","open:a",{"token":7}]',
            codes.BAD_REQUEST,
            f"{OPTIONS}Expected `str`, got `int` - at `$.token`",
        ),
        ('["subscribe","no:a"]', codes.UNKNOWN_CHANNEL, UNKNOWN),
        (f'["subscribe","{"x" * 256}"]', codes.UNKNOWN_CHANNEL, "the channel's name has more than 255 bytes"),
        ('["subscribe","$chat:a"]', codes.PERMISSION_DENIED, DENIED.format("join")),
        ('["subscribe","chat:#bob"]', codes.PERMISSION_DENIED, DENIED.format("join")),
        ('["unsubscribe"]', codes.BAD_REQUEST, ROOM.format("unsubscribe")),
        ('["publish"]', codes.BAD_REQUEST, ROOM.format("publish")),
        ('["publish","open:a"]', codes.BAD_REQUEST, NAME),
        ('["publish","open:a",7]', codes.BAD_REQUEST, NAME),
        ('["publish","open:a","connect"]', codes.BAD_REQUEST, NAME),
        ('["publish","no:a","x"]', codes.UNKNOWN_CHANNEL, UNKNOWN),
        ('["publish","news:a","x"]', codes.PERMISSION_DENIED, DENIED.format("publish in")),
        ('["anything",1]', codes.NOT_AVAILABLE, "the event is for the hook rpc, and there is none"),
    ],
)
async def test_what_cannot_be_done_is_acknowledged_with_an_error(event: str, code: ErrorCode, why: str) -> None:
    """That says what was wrong. It is counted, and the socket stays."""
    world = World()
    client = world.open()
    await client.connect()
    assert await client.ask(f"421{event}") == [error(1, code, why)]
    assert await client.ask(f"42{event}") == []
    assert world.node.counters.command_errors == {code.code: 2}
    assert client.closed_by is None


async def test_a_private_room_needs_a_token() -> None:
    world = World()
    client = world.open()
    await client.connect(auth={"token": TOKEN})
    token = subscription_token(SECRET, "ann", "$chat:a")
    [answer] = await client.ask(f'421["subscribe","$chat:a",{{"token":"{token}"}}]')
    assert str(answer).startswith('431[{"offset":0,')


async def test_the_room_of_another_socket_needs_a_token() -> None:
    """What backends send to one socket, or have it join, is for it alone; a client may know its id by presence."""
    world = World()
    alice, eve = world.open(), world.open()
    socket = await alice.connect("/chat", {"token": TOKEN})
    own = await eve.connect("/chat", {"token": connection_token(SECRET, "eve")})
    message = "permission denied: the room is another socket, which clients may join by a token or the server API only"
    assert await eve.ask(f'42/chat,1["subscribe","{socket}"]') == [
        f'43/chat,1[{{"error":{{"code":103,"message":"{message}"}}}}]'
    ]
    [refused] = await eve.ask(f'42/chat,2["subscribe","{socket}",{{"token":"x"}}]')
    assert '"error"' in str(refused)
    assert world.server.emissions.deliver(emission_of(SocketSelection("/chat", frozenset({socket})), ["x"])) == 1
    granted = subscription_token(SECRET, "eve", f"chat:{socket}")
    [answer] = await eve.ask(f'42/chat,3["subscribe","{socket}",{{"token":"{granted}"}}]')
    assert str(answer).startswith('43/chat,3[{"offset":0,')
    [answer] = await eve.ask(f'42/chat,4["subscribe","{own}"]')
    assert str(answer).startswith('43/chat,4[{"offset":0,')


async def test_the_number_of_rooms_is_bounded() -> None:
    world = World(channels=1)
    client = world.open()
    await client.connect()
    assert await client.ask('421["subscribe","open:a"]', '422["subscribe","open:b"]') == [
        f"431{DONE}",
        error(2, codes.LIMIT_EXCEEDED, "limit exceeded: this client is in as many rooms as it may be"),
    ]


async def test_a_binary_publication_is_the_event_message() -> None:
    """Binary data can be the one argument of `message`, and nothing else."""
    world = World()
    await world.node.start()
    client = world.open()
    await client.connect()
    await client.ask('42["subscribe","open:a"]')
    client.text('451-1["publish","open:a","message",{"_placeholder":true,"num":0}]')
    client.binary(b"\x00\xff")
    await settle()
    assert client.take() == ['451-["message",{"_placeholder":true,"num":0}]', b"\x00\xff", f"431{DONE}"]
    client.text('451-2["publish","open:a","other",{"_placeholder":true,"num":0}]')
    client.binary(b"\x00\xff")
    await settle()
    assert client.take() == [
        error(2, codes.BAD_REQUEST, "binary data can only be published as the one argument of the event message")
    ]
    await world.node.stop()


# the backend


@pytest.mark.parametrize(
    ("answer", "acknowledged"),
    [
        (b'[1,"b"]', ['431[1,"b"]']),
        (b'{"a":1}', ['431[{"a":1}]']),
        (b"null", ["431[null]"]),
        (b"\xff", ['461-1[{"_placeholder":true,"num":0}]', b"\xff"]),
        (CommandError(ErrorCode(1000, "no")), [error(1, ErrorCode(1000, "no"))]),
    ],
)
async def test_events_go_to_the_backend(answer: bytes | Exception, acknowledged: list[str | bytes]) -> None:
    """The name is the method, and the arguments are the data; its answer is the acknowledgement."""
    world = World(Hook.RPC, answers=[answer])
    client = world.open()
    await client.connect(auth={"token": TOKEN})
    assert await client.ask('421["move",{"x":1},2]') == acknowledged
    assert world.backend.asked == [("ann", "move", b'[{"x":1},2]')]


async def test_binary_arguments_go_to_the_backend_in_base64() -> None:
    world = World(Hook.RPC, answers=[b"1"])
    client = world.open()
    await client.connect()
    client.text('451-["save",{"_placeholder":true,"num":0},{"name":"x"}]')
    client.binary(b"\x00\xff")
    await settle()
    assert world.backend.asked == [("", "save", b'[{"b64data":"AP8="},{"name":"x"}]')]


async def test_a_namespace_may_leave_all_events_to_the_backend() -> None:
    """Also `subscribe` and `publish`."""
    world = World(Hook.RPC, answers=[b"1", b"2"])
    client = world.open()
    await client.connect("/own")
    assert await client.ask('42/own,1["subscribe","a"]', '42/own,2["publish","a","x"]') == [
        "43/own,1[1]",
        "43/own,2[2]",
    ]


async def test_the_backend_may_disconnect() -> None:
    """A final code ends the socket alone."""
    world = World(Hook.RPC, answers=[DisconnectRequestedError(codes.FORCE_DISCONNECT)])
    client = world.open()
    await client.connect()
    await client.connect("/chat")
    assert await client.ask('42/chat,["x"]') == ["41/chat,"]
    assert client.closed_by is None
    assert len(world.node.sessions) == 1


class GatedStore(MemorySessionStore):
    """Store of states whose writes wait at a gate, or fail."""

    def __init__(self) -> None:
        super().__init__(most=10)
        self.gate = asyncio.Event()
        self.gate.set()
        self.is_away = False

    async def put(self, ident: str, owner: str, state: SessionState, ttl_seconds: float, *, first: bool) -> Kept:
        """See SessionStore."""
        await self.gate.wait()
        if self.is_away:
            raise BackplaneError("away")
        return await super().put(ident, owner, state, ttl_seconds, first=first)


async def test_a_join_is_acknowledged_when_a_killed_server_would_leave_it() -> None:
    """Or else the client would recover without the room; events of the room come already. So it is with leaving."""
    store = GatedStore()
    world = World(Hook.SUBSCRIBE, answers=[None], states=store, broker=MemoryBroker(ordered=["rooms"]))
    await world.node.start()
    client = world.open()
    await client.ask(f'40/rooms,{{"token":"{TOKEN_WITHOUT_ROOMS}"}}')
    store.gate.clear()
    assert await client.ask('42/rooms,1["subscribe","a"]') == []
    await ServerApi(world.node).publish("rooms:a", Message(b'["hi"]'))
    await settle()
    assert len(client.take()) == 1
    store.gate.set()
    await settle()
    [joined] = client.take()
    assert str(joined).startswith('43/rooms,1[{"offset":0,')
    store.gate.clear()
    assert await client.ask('42/rooms,2["unsubscribe","a"]') == []
    store.gate.set()
    await settle()
    assert client.take() == ["43/rooms,2[{}]"]
    await world.node.stop()


async def test_a_join_that_cannot_be_stored_is_refused() -> None:
    """Nothing is left of it."""
    store = GatedStore()
    world = World(Hook.SUBSCRIBE, answers=[None], states=store, broker=MemoryBroker(ordered=["rooms"]))
    client = world.open()
    await client.ask(f'40/rooms,{{"token":"{TOKEN_WITHOUT_ROOMS}"}}')
    store.is_away = True
    assert await client.ask('42/rooms,1["subscribe","a"]') == [error(1, codes.INTERNAL).replace("43", "43/rooms,", 1)]
    [session] = world.node.sessions
    assert not session.subscriptions
    assert not session.closed


async def test_a_room_that_is_revoked_while_it_is_joined_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also in the last moment, in which the channels of the namespace are brought in step."""
    world = World(Hook.SUBSCRIBE, answers=[None], broker=MemoryBroker(ordered=["rooms"]))
    client = world.open()
    await client.ask(f'40/rooms,{{"token":"{TOKEN_WITHOUT_ROOMS}"}}')
    [session] = world.node.sessions
    in_order = world.node.operations.ordered.in_order

    async def revoke_meanwhile(asking: Session, join: Join, absence: Absence | None) -> OrderedJoins:
        asking.revoke("rooms:a")
        return await in_order(asking, join, absence)

    monkeypatch.setattr(world.node.operations.ordered, "in_order", revoke_meanwhile)
    refused = error(1, codes.PERMISSION_DENIED, DENIED.format("join")).replace("43", "43/rooms,", 1)
    assert await client.ask('42/rooms,1["subscribe","a"]') == [refused]
    assert not session.subscriptions


async def test_clients_that_come_back_are_preferred() -> None:
    """Where the rate of connects is limited, and in namespaces that recover."""
    world = World(connects_per_second=1)
    asked: list[bool] = []
    has_capacity = world.node.operations.entry.has_capacity

    def record(*, resumes: bool) -> bool:
        asked.append(resumes)
        return has_capacity(resumes=resumes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.node.operations.entry, "has_capacity", record)
        again = f'{{"pid":"{"0" * 32}","offset":"a-1"}}'
        for connect in (f"40/rooms,{again}", f"40/chat,{again}", "40/more,{}"):
            await world.open().ask(connect)
    assert asked == [True, False, False]
