"""WebSockets that clients have opened at other workers to take over their polling connections of this one.

    client == WebSocketRelay (its worker) ~ asks over the backplane ~ FarWebSocket == EngineConnection (this worker)

The session stays where it is, with all that belongs to it; what goes by the WebSocket is passed on, message by message
to here, and in whole frames from here. The asks of a relay to send are one after the other, as are those to receive, so
that nothing changes its order; one that fails ends the relay at both workers, so that nothing is missing unnoticed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import IntEnum, auto
from typing import NamedTuple

import msgspec

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.node import Node
from realtime_server.socket_io.engine_connection import FORWARDED_BYTES, EngineConnection
from realtime_server.socket_io.engine_socket import EngineSocket
from realtime_server.socket_io.polling_wire import CONGESTED_BYTES

NAME = "socket.io websockets"
"""Name of the asks; none of a connection, which are ids."""


class Kind(IntEnum):
    """Kind of what a client has sent by a WebSocket; CONTROL is a ping or pong of the WebSocket itself."""

    TEXT = auto()
    BINARY = auto()
    CONTROL = auto()


class SentMessage(NamedTuple):
    """Message of a client."""

    kind: Kind
    payload: bytes


class OpenRelay(msgspec.Struct, tag="open", array_like=True, frozen=True):
    """Ask to let a WebSocket probe the connection with the id `sid`; `relay` is its name from now on."""

    relay: str
    sid: str


class Send(msgspec.Struct, tag="send", array_like=True, frozen=True):
    """Ask to take messages of the client; it is answered when the client may send more."""

    relay: str
    messages: list[SentMessage]


class Receive(msgspec.Struct, tag="receive", array_like=True, frozen=True):
    """Ask for what is to be sent to the client; it is answered when there is something."""

    relay: str


class EndRelay(msgspec.Struct, tag="end", array_like=True, frozen=True):
    """Notice that the WebSocket is lost."""

    relay: str


class Written(msgspec.Struct, array_like=True, frozen=True):
    """Answer to each ask: frames for the client; with a `code`, the WebSocket is to be closed with it after them."""

    frames: bytes = b""
    code: int = 0
    reason: str = ""


Request = OpenRelay | Send | Receive | EndRelay
UNKNOWN = Written(code=codes.BAD_REQUEST_DISCONNECT.code, reason=codes.BAD_REQUEST_DISCONNECT.reason)
"""Answer to asks for a connection or a WebSocket that is not here, or that must not be taken over now."""
_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)


class FarWebSocket:
    """WebSocket at another worker: implements core's Connection. `receiver` gets what arrives, once it is set.

    More than `limit` bytes that wait close it.
    """

    def __init__(self, limit: int) -> None:
        self.receiver: EngineSocket | None = None
        self._limit = limit
        self._frames: list[bytes] = []
        self._waiting_bytes = 0
        self._code: DisconnectCode | None = None
        self._ready = asyncio.Event()
        self._overflowed = False
        self.written_bytes = 0

    async def taken(self) -> Written:
        """Wait until there is something for the client, and return it."""
        await self._ready.wait()
        self._ready.clear()
        was_congested = self.congested
        frames, self._frames, self._waiting_bytes = b"".join(self._frames), [], 0
        if self._code is not None:
            return Written(frames, self._code.code, self._code.reason)
        if was_congested and self.receiver is not None:
            self.receiver.on_writable()
        return Written(frames)

    # core's Connection

    def write(self, frames: bytes) -> None:
        """See Connection."""
        if self._code is not None or self._overflowed:
            return
        self._frames.append(frames)
        self._waiting_bytes += len(frames)
        self.written_bytes += len(frames)
        if self._waiting_bytes > self._limit:
            self._overflowed = True
            asyncio.get_running_loop().call_soon(self._overflow)
        else:
            self._ready.set()

    def close(self, code: DisconnectCode) -> None:
        """See Connection."""
        self._code = self._code or code
        self._ready.set()

    @property
    def congested(self) -> bool:
        """See Connection."""
        return self._waiting_bytes > CONGESTED_BYTES

    def unsent(self) -> int:
        """See Connection."""
        return 0

    def unacknowledged(self) -> int:
        """See Connection."""
        return self._waiting_bytes

    def pause_reading(self) -> None:
        """See Connection; what the client sends waits for its connection before it is passed on."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""

    def _overflow(self) -> None:
        self._frames, self._waiting_bytes = [], 0
        if self.receiver is not None:
            self.receiver.disconnect(codes.SLOW)


class _Taken(NamedTuple):
    """Connection that a WebSocket at another worker takes over."""

    connection: EngineConnection
    wire: FarWebSocket
    receiver: EngineSocket


class FarWebSockets:
    """WebSockets of other workers that take over connections of this one.

    `find` returns the connection with an id, `upgrade` lets a WebSocket take over.
    """

    def __init__(
        self,
        node: Node,
        find: Callable[[str], EngineConnection | None],
        upgrade: Callable[[EngineConnection, FarWebSocket], EngineSocket],
    ) -> None:
        self._clock = node.clock
        self._find = find
        self._upgrade = upgrade
        self._limit = node.asks.answer_bytes - FORWARDED_BYTES
        self._taken: dict[str, _Taken] = {}
        node.asks.serve(NAME, self._answer)

    def __len__(self) -> int:
        """Return their number."""
        return len(self._taken)

    async def _answer(self, message: bytes) -> bytes:
        """Answer an ask of another worker."""
        match _decoder.decode(message):
            case OpenRelay(relay, sid):
                answer = self._open(relay, sid)
            case Send(relay, messages):
                answer = await self._send(relay, messages)
            case Receive(relay):
                answer = await self._receive(relay)
            case EndRelay(relay):
                self._end(relay)
                answer = Written()
        return _encoder.encode(answer)

    def _open(self, relay: str, sid: str) -> Written:
        connection = self._find(sid)
        if connection is None:
            return UNKNOWN
        wire = FarWebSocket(self._limit)
        wire.receiver = self._upgrade(connection, wire)
        self._taken[relay] = _Taken(connection, wire, wire.receiver)
        return Written()

    async def _send(self, relay: str, messages: list[SentMessage]) -> Written:
        taken = self._taken.get(relay)
        if taken is None:
            return UNKNOWN
        for message in messages:
            await taken.connection.readable()
            self._take(taken.receiver, message)
        await taken.connection.readable()
        return Written()

    def _take(self, receiver: EngineSocket, message: SentMessage) -> None:
        now = self._clock()
        if message.kind is Kind.TEXT:
            receiver.on_text(message.payload, now)
        elif message.kind is Kind.BINARY:
            receiver.on_binary(message.payload, now)
        else:
            receiver.on_control(now)

    async def _receive(self, relay: str) -> Written:
        """Return what is to be sent; when nobody waits for it any more, the WebSocket is lost."""
        taken = self._taken.get(relay)
        if taken is None:
            return UNKNOWN
        try:
            written = await taken.wire.taken()
        except asyncio.CancelledError:
            self._end(relay)
            raise
        if written.code:
            self._taken.pop(relay, None)
        return written

    def _end(self, relay: str) -> None:
        taken = self._taken.pop(relay, None)
        if taken is not None:
            taken.receiver.on_closed()
