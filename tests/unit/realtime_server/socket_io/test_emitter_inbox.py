"""Inbox for the messages of emitters: they are done in their order, each once, or counted as refused."""

from __future__ import annotations

import asyncio
import json

import msgspec
import pytest
import structlog

from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.ports.feed import FeedSource
from realtime_server.protocols.socket_io.errors import Fault
from realtime_server.socket_io import emitter_inbox
from realtime_server.socket_io.emitter_inbox import WARNING_SECONDS, EmitterFormat, EmitterInbox, EmitterSettings
from realtime_server.socket_io.room_operations import Joined, RoomOperations
from tests.unit.realtime_server.socket_io.world import Client, World, settle

EVENTS, REQUESTS, PYTHON = "k#/#*", "k-request#/#", "p"
REDIS, STREAMS = EmitterFormat.REDIS_EMITTER, EmitterFormat.REDIS_STREAMS


ALL = EmitterSettings("k", "s", "p")
BINARY = msgspec.msgpack.encode(["u", {"type": 2, "data": ["x", *[b"y"] * 11]}, {}])


def inbox_of(world: World, settings: EmitterSettings = ALL) -> EmitterInbox:
    """Return the inbox of a worker."""
    server = world.server
    return EmitterInbox(settings, ["/", "/chat"], server.emissions, server.rooms, world.clock)


def emit(event: object, *rooms: str, namespace: str = "/", **flags: object) -> bytes:
    """Return a message with an event."""
    packet = {"type": 2, "data": [event], "nsp": namespace}
    return msgspec.msgpack.encode(["emitter", packet, {"rooms": rooms, "except": [], "flags": flags}])


def request(kind: int, *rooms: str, **fields: object) -> bytes:
    """Return a message with another instruction."""
    return json.dumps({"type": kind, "opts": {"rooms": rooms, "except": []}, **fields}).encode()


async def client_of(world: World) -> Client:
    """Connect a client to `/`."""
    client = world.open()
    await client.connect()
    return client


def test_only_what_is_on_is_read() -> None:
    world = World()
    inbox = inbox_of(world)
    channels = ("k-request#/#", "k-request#/chat#", "p")
    assert inbox.source == FeedSource(channels, ("k#/#*", "k#/chat#*"), "s")
    assert inbox_of(world, EmitterSettings(channel="p")).source == FeedSource(("p",))
    assert inbox_of(world, EmitterSettings(stream="s")).source == FeedSource(stream="s")


async def test_events_are_delivered_at_once() -> None:
    world = World()
    client = await client_of(world)
    inbox = inbox_of(world)
    inbox.on_message(EVENTS, emit("a"))
    inbox.on_message(PYTHON, b'{"method":"emit","event":"b","data":[1],"binary":false}')
    await inbox.on_entry({b"nsp": b"/", b"type": b"3", b"data": b'{"packet":{"type":2,"data":["c"]}}'})
    assert client.take() == ['42["a"]', '42["b",1]', '42["c"]']
    assert inbox.received == {(REDIS, "emit"): 1, (EmitterFormat.PYTHON_SOCKETIO, "emit"): 1, (STREAMS, "emit"): 1}
    assert not inbox.refused


async def test_messages_are_done_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """An event waits for sockets that join a room before it; what is not for sockets is counted."""
    world = World()
    client = await client_of(world)
    gate = asyncio.Event()
    join = RoomOperations.join

    async def slow_join(*arguments: object) -> Joined:
        await gate.wait()
        return await join(*arguments)  # type: ignore[arg-type] # as it is called

    monkeypatch.setattr(RoomOperations, "join", slow_join)
    inbox = inbox_of(world)
    inbox.on_message(REQUESTS, request(2, rooms=["open:a"]))
    inbox.on_message(EVENTS, emit("joined", "open:a"))
    inbox.on_message(REQUESTS, request(3, rooms=["open:a"]))
    inbox.on_message(EVENTS, emit("left", "open:a"))
    inbox.on_message(REQUESTS, request(6, data=["x"]))
    await settle()
    assert client.take() == []
    gate.set()
    await settle()
    assert client.take() == ['42["joined"]']
    inbox.on_message(REQUESTS, request(4))
    assert client.take() == ["41"]
    assert inbox.received == {
        (REDIS, "join"): 1, (REDIS, "emit"): 2, (REDIS, "leave"): 1, (REDIS, "other"): 1, (REDIS, "disconnect"): 1,
    }  # fmt: skip
    await inbox.stop()


async def test_what_waits_is_bounded_and_ends_with_the_inbox(monkeypatch: pytest.MonkeyPatch) -> None:
    world = World()
    client = await client_of(world)

    async def endless_join(*_: object) -> int:
        await asyncio.Event().wait()
        return 0

    monkeypatch.setattr(RoomOperations, "join", endless_join)
    monkeypatch.setattr(emitter_inbox, "MAX_WAITING", 3)
    inbox = inbox_of(world)
    inbox.on_message(REQUESTS, request(2, rooms=["open:a"]))
    await settle()
    for _ in range(5):
        inbox.on_message(EVENTS, emit("x"))
    assert inbox.refused == {(REDIS, "queue_full"): 2}
    monkeypatch.setattr(emitter_inbox, "MAX_WAITING_BYTES", 10)
    monkeypatch.setattr(emitter_inbox, "MAX_WAITING", 100)
    inbox.on_message(EVENTS, emit("x"))
    assert inbox.refused == {(REDIS, "queue_full"): 3}
    await inbox.stop()
    assert client.take() == []
    inbox.on_message(EVENTS, emit("y"))
    assert client.take() == ['42["y"]']


@pytest.mark.parametrize(
    ("name", "payload", "reason"),
    [
        (EVENTS, b"\xc1", Fault.BAD_MSGPACK),
        (EVENTS, emit("connect"), Fault.RESERVED_EVENT),
        (EVENTS, emit("removeListener"), Fault.RESERVED_EVENT),
        (EVENTS, emit(None), Fault.RESERVED_EVENT),
        (EVENTS, BINARY, Fault.TOO_MANY_ATTACHMENTS),
        (PYTHON, b'{"method":"emit","event":"x","namespace":"/own"}', Fault.UNKNOWN_NAMESPACE),
        (PYTHON, b"\x80\x04.", Fault.PICKLED),
    ],
)
async def test_what_clients_must_not_get_is_refused(name: str, payload: bytes, reason: Fault) -> None:
    world = World()
    client = await client_of(world)
    inbox = inbox_of(world)
    inbox.on_message(name, payload)
    assert client.take() == []
    assert [key[1] for key in inbox.refused] == [reason]


async def test_an_event_is_not_larger_than_what_a_client_can_take() -> None:
    """Base64 of its binary data does not count."""
    world = World()
    client = await client_of(world)
    inbox = inbox_of(world)
    most = world.server.emissions.max_bytes
    inbox.on_message(EVENTS, emit("x" * (most - 4)))
    assert len(client.take()) == 1
    inbox.on_message(EVENTS, emit("x" * (most - 3)))
    inbox.on_message(EVENTS, emit("x" * (2 * most)))
    assert client.take() == []
    assert inbox.refused == {(REDIS, Fault.TOO_LARGE): 2}


async def test_a_join_that_fails_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after it is done."""
    world = World()
    client = await client_of(world)

    async def failing_join(*_: object) -> int:
        await asyncio.sleep(0)
        raise BackplaneError("Redis is away")

    monkeypatch.setattr(RoomOperations, "join", failing_join)
    inbox = inbox_of(world)
    inbox.on_message(REQUESTS, request(2, rooms=["open:a"]))
    inbox.on_message(EVENTS, emit("x"))
    await settle()
    assert client.take() == ['42["x"]']
    assert inbox.refused == {(REDIS, "backplane"): 1}


def test_each_reason_is_logged_now_and_then() -> None:
    world = World()
    inbox = inbox_of(world)
    with structlog.testing.capture_logs() as logs:
        for _ in range(3):
            inbox.on_message(EVENTS, b"\xc1")
            inbox.on_message(PYTHON, b"\x80\x04.")
        world.clock.now += WARNING_SECONDS
        inbox.on_message(EVENTS, b"\xc1")
    assert [(log["reason"], log["refused"]) for log in logs] == [("bad_msgpack", 1), ("pickled", 1), ("bad_msgpack", 4)]
    assert "5.14" in logs[1]["why"]
