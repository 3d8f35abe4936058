"""Operations of backends on the sockets of a worker."""

from __future__ import annotations

import pytest

from realtime_server import codes
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.ports.backend import Hook
from realtime_server.socket_io.room_operations import Joined
from realtime_server.socket_io.socket_index import SocketSelection
from tests.unit.realtime_server.socket_io.test_returning_sockets import TOKEN, Cluster
from tests.unit.realtime_server.socket_io.world import World, settle

ALL = SocketSelection("/")


async def test_sockets_join_and_leave_rooms_without_noticing() -> None:
    world = World()
    clients = [world.open() for _ in range(2)]
    ids = [await client.connect() for client in clients]
    rooms = world.server.rooms
    assert await rooms.join(ALL, ["open:a", "nowhere:a"]) == Joined(2)
    assert await rooms.join(SocketSelection("/", frozenset({ids[0]})), ["open:b"]) == Joined(1)
    assert [set(session.subscriptions) for session in world.node.sessions] == [{"open:a", "open:b"}, {"open:a"}]
    assert await rooms.leave(SocketSelection("/", frozenset({"open:b"})), ["open:a", "open:b"]) == 1
    assert [set(session.subscriptions) for session in world.node.sessions] == [set(), {"open:a"}]
    assert [client.take() for client in clients] == [[], []]


async def test_a_socket_that_has_no_room_for_a_room_is_told_apart() -> None:
    """It is in as many as it may be; what it is in already takes none."""
    world = World(channels=2)
    clients = [world.open() for _ in range(2)]
    [socket, _] = [await client.connect() for client in clients]
    one = SocketSelection("/", frozenset({socket}))
    assert await world.server.rooms.join(one, ["open:a", "open:b"]) == Joined(1)
    assert await world.server.rooms.join(ALL, ["open:a", "open:b"]) == Joined(2)
    assert await world.server.rooms.join(ALL, ["open:a", "open:c"]) == Joined(2, 2)
    assert await world.server.rooms.leave(one, ["open:a"]) == 1
    assert await world.server.rooms.join(ALL, ["open:c"]) == Joined(2, 1)


async def test_a_socket_is_disconnected_alone_or_with_its_connection() -> None:
    world = World()
    client = world.open()
    root, chat = await client.connect(), await client.connect("/chat")
    assert world.server.rooms.disconnect(SocketSelection("/", frozenset({root}))) == 1
    assert client.take() == ["41"]
    await client.connect()
    assert world.server.rooms.disconnect(SocketSelection("/chat", frozenset({chat})), whole=True) == 1
    assert client.take() == ["41", "41/chat,"]
    assert client.closed_by is None
    await client.connect()
    assert world.server.rooms.disconnect(ALL, codes.FORCE_RECONNECT) == 1
    assert client.closed_by == codes.FORCE_RECONNECT


async def test_a_socket_recovers_with_the_rooms_of_the_backend() -> None:
    """And without those that it has left for it."""
    cluster = Cluster(Hook.RPC)
    await cluster.start()
    socket = await cluster.connect({"token": TOKEN})
    rooms = cluster.world.server.rooms
    assert await rooms.join(SocketSelection("/rooms"), ["c"]) == Joined(1)
    assert await rooms.leave(SocketSelection("/rooms"), ["b"]) == 1
    state = await cluster.states.take(socket.pid)
    assert state is not None
    assert set(state.channels) == {"rooms:a", "rooms:c"}


async def test_a_join_that_is_not_stored_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next call tries again."""
    cluster = Cluster(Hook.RPC)
    await cluster.start()
    await cluster.connect({"token": TOKEN})
    await settle()
    put = cluster.states.put

    async def fail(*_: object, **__: object) -> None:
        raise BackplaneError("away")

    monkeypatch.setattr(cluster.states, "put", fail)
    with pytest.raises(BackplaneError):
        await cluster.world.server.rooms.join(SocketSelection("/rooms"), ["c"])
    monkeypatch.setattr(cluster.states, "put", put)
    assert await cluster.world.server.rooms.join(SocketSelection("/rooms"), ["c"]) == Joined(1)
