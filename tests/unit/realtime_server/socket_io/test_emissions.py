"""Emissions to the sockets of a worker."""

from __future__ import annotations

import asyncio
import re

import pytest

from realtime_server.core.auth.claims import Claims
from realtime_server.core.limits.limit import Limit
from realtime_server.core.ports.backend import Connected, Hook
from realtime_server.protocols.socket_io.attachments import Value
from realtime_server.protocols.socket_io.errors import Fault, PacketError
from realtime_server.protocols.socket_io.packets import MAX_ATTACHMENTS
from realtime_server.socket_io.ack_collection import Ack, CollectedAcks
from realtime_server.socket_io.emissions import Emission, TooManySocketsError, emission_of
from realtime_server.socket_io.socket_index import SocketSelection
from tests.unit.realtime_server.socket_io.world import Client, World, polled, settle


def emit(world: World, *event: Value, to: SocketSelection | None = None, volatile: bool = False) -> int:
    """Emit to the selected sockets, else to all of `/`."""
    return world.server.emissions.deliver(emission_of(to or SocketSelection("/"), [*event], volatile=volatile))


async def joined(world: World, *rooms: str, namespace: str = "") -> tuple[Client, str]:
    """Return a client in these rooms, and the id of its socket."""
    client = world.open()
    sid = await client.connect(namespace)
    for room in rooms:
        await client.ask(f'42{namespace and f"{namespace},"}1["subscribe","{room}"]')
    return client, sid


async def test_rooms_and_ids_select_sockets() -> None:
    """A socket in several of them gets an event once."""
    world = World()
    a, a_id = await joined(world, "open:a", "open:b")
    b, b_id = await joined(world, "open:b")
    c, c_id = await joined(world)
    clients = {"a": a, "b": b, "c": c}
    cases: dict[str, tuple[set[str], set[str]]] = {
        "a b c": (set(), set()),
        "a b": ({"open:a", "open:b"}, set()),
        "b": ({"open:b"}, {"open:a"}),
        "c": (set(), {"open:b"}),
        "a c": ({a_id, c_id, "open:a"}, set()),
        "a": ({"open:b"}, {b_id}),
        "": ({"open:none", "nowhere:a", "x" * 500}, set()),
    }
    for number, (expected, (rooms, excluded)) in enumerate(cases.items()):
        selection = SocketSelection("/", frozenset(rooms), frozenset(excluded))
        assert emit(world, "x", number, to=selection) == len(expected.split())
        got = {name for name, client in clients.items() if client.take() == [f'42["x",{number}]']}
        assert got == set(expected.split())


async def test_other_clients_of_a_channel_do_not_get_what_is_for_a_namespace() -> None:
    """Two namespaces may share channels; ids are of one namespace too."""
    world = World()
    root, root_id = await joined(world, "open:a")
    own = world.open()
    own_id = await own.connect("/own")
    assert emit(world, "x", to=SocketSelection("/own")) == 1
    assert own.take() == ['42/own,["x"]']
    assert emit(world, "x", to=SocketSelection("/own", frozenset({"a", root_id}))) == 0
    assert emit(world, "x", to=SocketSelection("/", frozenset({own_id}))) == 0
    assert emit(world, "x", to=SocketSelection("/none")) == 0
    assert root.take() == []


async def test_frames_are_shared() -> None:
    """An event with binary arguments is one write, the same bytes for all."""
    world = World()
    clients = [(await joined(world))[0] for _ in range(2)]
    assert emit(world, "x", b"\x00", {"y": [b"\x01"]}) == 2
    [first], [second] = (client.wire.written for client in clients)
    assert first is second
    text = '452-["x",{"_placeholder":true,"num":0},{"y":[{"_placeholder":true,"num":1}]}]'
    assert clients[0].take() == [text, b"\x00", b"\x01"]


async def test_a_polling_client_gets_the_same() -> None:
    world = World()
    connection = world.poll()
    connection.take_data(b"40")
    await settle()
    polled(connection)
    emit(world, "x", b"\x00")
    assert polled(connection) == ['451-["x",{"_placeholder":true,"num":0}]', "bAA=="]


async def test_in_a_namespace_that_recovers_an_event_has_no_position() -> None:
    """A client would take a string at its end for one, also the name of an event without arguments."""
    world = World()
    client = world.open()
    await client.ask("40/rooms,")
    for event in (["x"], ["x", "1-1"], ["x", b"\x00"]):
        emit(world, *event, to=SocketSelection("/rooms"))
    placed = '{"_placeholder":true,"num":0}'
    assert client.take() == [
        '42/rooms,["x",null]', '42/rooms,["x","1-1",null]', f'451-/rooms,["x",{placed},null]', b"\x00",
    ]  # fmt: skip


async def test_a_volatile_event_leaves_out_slow_clients() -> None:
    world = World()
    slow, _ = await joined(world)
    fast, _ = await joined(world)
    slow.wire.refused = 1
    assert emit(world, "x", volatile=True) == 1
    assert (slow.take(), fast.take()) == ([], ['42["x"]'])
    assert emit(world, "y") == 2
    assert slow.take() == ['42["y"]']


async def test_an_event_that_no_outbox_takes_is_dropped() -> None:
    """It would disconnect every client as a slow one."""
    world = World()
    client, _ = await joined(world)
    most = world.server.emissions.max_bytes
    emission = Emission(SocketSelection("/"), b'["x"]', (b"y" * most,))
    assert world.server.emissions.deliver(emission) == 0
    assert client.take() == []


async def test_sockets_get_events_from_the_answer_to_connect_to_their_end() -> None:
    world = World(Hook.CONNECT, answers=[Connected(Claims("bob"))] * 2)
    world.backend.gate = asyncio.Event()
    client = world.open()
    await client.ask("40")
    assert emit(world, "x") == 0
    world.backend.gate.set()
    await settle()
    client.take()
    assert emit(world, "y") == 1
    client.text("41")
    assert emit(world, "z") == 0
    assert client.take() == ['42["y"]']


@pytest.mark.parametrize(
    ("event", "fault"),
    [
        ([], Fault.RESERVED_EVENT),
        ([1], Fault.RESERVED_EVENT),
        (["connect"], Fault.RESERVED_EVENT),
        ([b"x"], Fault.RESERVED_EVENT),
        (["x", *[b"\x00"] * (MAX_ATTACHMENTS + 1)], Fault.TOO_MANY_ATTACHMENTS),
        (["x", b"\x00", {"_placeholder": True, "num": 99}], Fault.BAD_PLACEHOLDER),
        (["x", {"_placeholder": True, "num": 0}, b"\x00"], Fault.BAD_PLACEHOLDER),
    ],
)
def test_an_event_at_which_clients_break_off_is_refused(event: list[Value], fault: Fault) -> None:
    with pytest.raises(PacketError) as refused:
        emission_of(SocketSelection("/"), event)
    assert refused.value.fault is fault


def test_what_looks_like_a_place_is_data_where_there_are_no_attachments() -> None:
    """Clients look for places in packets with attachments alone."""
    event: list[Value] = ["x", {"_placeholder": True, "num": 99}]
    assert emission_of(SocketSelection("/"), event).data == b'["x",{"_placeholder":true,"num":99}]'


# acknowledgements


def asked(world: World, *event: Value, seconds: float = 60, sockets: int = 10) -> asyncio.Task[CollectedAcks]:
    """Emit to all of `/`, and ask for acknowledgements."""
    emission = emission_of(SocketSelection("/"), [*event])
    work = world.server.emissions.collect(emission, seconds=seconds, sockets=sockets, max_bytes=1000)
    return asyncio.create_task(work)


def number_in(message: str | bytes) -> str:
    """Return the id of the acknowledgement that an event asks for."""
    assert isinstance(message, str)
    found = re.fullmatch(r'42([0-9]+)\["x"\]', message)
    assert found is not None, message
    return found[1]


async def test_acknowledgements_are_collected() -> None:
    """One event, one id, the same frames for all; what a client sends twice counts once."""
    world = World()
    clients = [await joined(world) for _ in range(3)]
    collecting = asked(world, "x")
    await settle()
    numbers = {number_in(message) for client, _ in clients for message in client.take()}
    [number] = numbers
    (a, a_id), (b, b_id), (c, c_id) = clients
    a.text(f"43{number}[1]", f"43{number}[2]")
    b.text(f'461-{number}[{{"_placeholder":true,"num":0}}]')
    b.binary(b"\x00")
    assert not collecting.done()
    c.socket.on_closed()
    acks = [Ack(a_id, b"[1]"), Ack(b_id, b'[{"b64data":"AA=="}]')]
    assert await collecting == CollectedAcks(acks, [c_id])
    assert a.closed_by is None


async def test_late_and_unknown_acknowledgements_are_ignored() -> None:
    world = World()
    client, sid = await joined(world)
    assert await asked(world, "x", seconds=0) == CollectedAcks([], [sid])
    [message] = client.take()
    client.text(f"43{number_in(message)}[1]", "430[1]", f'43{number_in(message)}{"1" * 4}["x"]')
    collecting = asked(world, "x")
    await settle()
    [later] = client.take()
    assert number_in(later) != number_in(message)
    client.text(f"43{number_in(later)}[2]")
    assert await collecting == CollectedAcks([Ack(sid, b"[2]")], [])
    assert client.closed_by is None


async def test_a_client_cannot_answer_for_another_one() -> None:
    """The id is the same, but each has to answer itself."""
    world = World()
    a, a_id = await joined(world)
    b, b_id = await joined(world)
    collecting = asked(world, "x")
    await settle()
    number = number_in(a.take()[0])
    a.text(f"43{number}[1]", f"43{number}[2]", f"43{number}[3]")
    await settle()
    assert not collecting.done()
    b.socket.on_closed()
    assert await collecting == CollectedAcks([Ack(a_id, b"[1]")], [b_id])


async def test_an_acknowledgement_above_the_size_of_a_message_is_left_out() -> None:
    world = World()
    client, sid = await joined(world)
    collecting = asked(world, "x")
    await settle()
    [message] = client.take()
    client.text(f'43{number_in(message)}["{"x" * world.node.settings.limits.message_bytes}"]')
    assert await collecting == CollectedAcks([Ack(sid, None)], [])
    assert world.node.counters.limits[Limit.MESSAGE_BYTES] == 1


async def test_where_an_acknowledgement_is_asked_for_a_client_takes_no_argument_for_a_position() -> None:
    """Its last argument is the function that answers."""
    world = World()
    client = world.open()
    await client.ask("40/rooms,")
    emission = emission_of(SocketSelection("/rooms"), ["x", "1-1"])
    collecting = asyncio.create_task(world.server.emissions.collect(emission, seconds=60, sockets=1, max_bytes=10))
    await settle()
    [message] = client.take()
    assert re.fullmatch(r'42/rooms,[0-9]+\["x","1-1"\]', str(message))
    collecting.cancel()


async def test_too_many_acknowledgements_are_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """By one emission, or by all of a worker."""
    world = World()
    clients = [(await joined(world))[0] for _ in range(2)]
    with pytest.raises(TooManySocketsError):
        await asked(world, "x", sockets=1)
    assert [client.take() for client in clients] == [[], []]
    monkeypatch.setattr("realtime_server.socket_io.emissions.MAX_AWAITED", 3)
    collecting = asked(world, "x")
    await settle()
    with pytest.raises(TooManySocketsError):
        await asked(world, "x")
    collecting.cancel()
    await settle()
    assert len((await asked(world, "x", seconds=0)).unanswered) == 2
