"""Connections of one worker."""

from __future__ import annotations

from realtime_server import codes
from tests.kit.deadline import eventually
from tests.unit.realtime_server.socket_io.world import World, messages_in


async def test_a_connection_is_found_by_its_id_until_it_ends() -> None:
    """The id begins with that of the worker, and cannot be guessed."""
    world = World()
    connection, other = world.poll(), world.poll()
    worker, _, secret = connection.sid.partition(".")
    assert (worker, len(secret)) == (world.node.uid, 32)
    assert connection.sid != other.sid
    assert world.server.find(connection.sid) is connection
    assert world.server.find("") is None
    connection.lose()
    assert world.server.find(connection.sid) is None
    assert len(world.server) == 1


async def test_connections_without_a_socket_count_towards_the_limit() -> None:
    """They would take memory without end."""
    world = World(max_connections=2)
    rooms = [world.server.has_room]
    for _ in range(2):
        connection = world.poll()
        rooms.append(world.server.has_room)
    connection.lose()
    assert [*rooms, world.server.has_room] == [True, True, False, True]


async def test_sockets_count_towards_the_limit() -> None:
    world = World(max_connections=2)
    client = world.open()
    rooms = []
    for namespace in ("", "/chat"):
        await client.connect(namespace)
        rooms.append(world.server.has_room)
    assert rooms == [True, False]


async def test_the_periodic_work_goes_on_while_there_are_connections() -> None:
    """One timer for all, which pings them."""
    world = World()
    first, second = world.open(), world.open()
    first.take()
    second.take()
    world.clock.now += 25

    async def pinged() -> list[str | bytes]:
        return messages_in(first.wire.written) + messages_in(second.wire.written)

    await eventually(pinged, lambda found: found == ["2", "2"], what="pings", within=10, every=0.05)


async def test_a_websocket_that_cannot_keep_up_closes_its_connection() -> None:
    world = World()
    client = world.open()
    await client.connect()
    assert client.socket.admitted
    client.socket.disconnect(codes.SLOW)
    assert client.closed_by == codes.SLOW
    assert world.node.counters.disconnects == {codes.SLOW.code: 1}
