"""WebSocket of a connection: pongs of its own have no meaning, and its end is counted by the sockets."""

from __future__ import annotations

from tests.unit.realtime_server.socket_io.world import World


async def test_a_websocket_without_a_socket_is_not_admitted() -> None:
    world = World()
    client = world.open()
    client.socket.on_pong()
    client.socket.note_unanswered(3501)
    assert (client.socket.admitted, client.socket.closed) == (False, True)
    await client.connect()
    assert client.socket.admitted
