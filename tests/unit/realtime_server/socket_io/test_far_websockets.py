"""WebSockets of other workers, at the worker that has their connections: what `test_websocket_relay` does not see."""

from __future__ import annotations

from realtime_server import codes
from realtime_server.socket_io.far_websockets import FarWebSocket, Written


async def test_frames_are_taken_together_and_with_the_code() -> None:
    wire = FarWebSocket(100)
    wire.write(b"a")
    wire.write(b"bc")
    assert (wire.written_bytes, wire.unacknowledged(), wire.unsent()) == (3, 3, 0)
    assert await wire.taken() == Written(b"abc")
    wire.write(b"d")
    wire.close(codes.SLOW)
    wire.close(codes.STALE)
    wire.write(b"e")
    assert await wire.taken() == Written(b"d", codes.SLOW.code, codes.SLOW.reason)


async def test_nothing_is_kept_beyond_the_bound() -> None:
    wire = FarWebSocket(2)
    for _ in range(5):
        wire.write(b"ab")
    assert wire.unacknowledged() == 4
