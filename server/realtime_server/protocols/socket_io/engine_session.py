"""State of an Engine.IO session: its transport, the upgrade of that to a WebSocket, and its end. Pure: does no I/O.

    POLLING -> PROBING -> PROBED -> WEBSOCKET      a WebSocket comes, probes, and takes over
          <-----'<---------'                       it is lost, or sends anything else
    any -> CLOSING -> CLOSED                       CLOSING: a polling client has not yet been told

Times are the caller's: it closes a session whose pong is late, calls `abandon_upgrade` when an upgrade takes too long,
and `lose` when a client does not poll.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from enum import IntEnum, StrEnum, auto
from functools import lru_cache

from realtime_server.protocols.socket_io.engine_packets import (
    SEPARATOR,
    EnginePacket,
    EngineType,
    decode_payload,
    encode_polled,
)
from realtime_server.protocols.socket_io.engine_requests import BINARY, HTML, TEXT, Answer, TransportName
from realtime_server.protocols.socket_io.errors import EngineError, Fault

MAX_POLLED = 16
"""Packets in the answer to a poll: python-engineio 4.15 closes a connection that gets more."""
PROBE = b"probe"
_CLOSE = encode_polled(EnginePacket(EngineType.CLOSE))
_NOOP = encode_polled(EnginePacket(EngineType.NOOP))
_TAKEN = Answer(200, b"ok", HTML)
_REFUSED = Answer(400)


class Stage(IntEnum):
    """Stage of a session; of integers, because sets find them faster than other members."""

    POLLING = auto()
    PROBING = auto()
    PROBED = auto()
    WEBSOCKET = auto()
    CLOSING = auto()
    CLOSED = auto()


class EngineEnd(StrEnum):
    """Reason for the end of a session, in the reference's words."""

    PARSE_ERROR = "parse error"
    TRANSPORT_ERROR = "transport error"
    TRANSPORT_CLOSE = "transport close"
    FORCED_CLOSE = "forced close"
    PING_TIMEOUT = "ping timeout"


_PROBED, _CLOSING = Stage.PROBED, Stage.CLOSING
"""Members of Stage, because looking one up takes longer than comparing it."""
_OPEN = frozenset({Stage.POLLING, Stage.PROBING, Stage.PROBED, Stage.WEBSOCKET})
_UPGRADING = frozenset({Stage.PROBING, Stage.PROBED})
WITHOUT_POLLING = frozenset({Stage.WEBSOCKET, Stage.CLOSED})
"""Stages in which polls are refused; in all others they are answered, if only with the end of the session."""

Reply = Callable[[Answer], None]


class EngineSession:
    """Session of one client, which begins with polling or with a WebSocket.

    `on_packet` is called with each message and pong of the client; it may call any method. `on_end` is called once.
    `max_polled`: bytes in the answer to a poll, unless its first packet alone is larger; None for no limit.
    """

    def __init__(
        self,
        transport: TransportName,
        max_payload: int,
        on_packet: Callable[[EnginePacket], None],
        on_end: Callable[[EngineEnd], None],
        *,
        max_polled: int | None = None,
    ) -> None:
        self.stage = Stage.POLLING if transport is TransportName.POLLING else Stage.WEBSOCKET
        self._max_payload = max_payload
        self._max_polled = max_polled
        self._on_packet = on_packet
        self._on_end = on_end
        self._waiting: deque[bytes] = deque()
        """Encoded packets that no poll has taken."""
        self.waiting_bytes = 0
        """Their size."""
        self._poll: Reply | None = None
        self._receives_data = False

    @property
    def transport(self) -> TransportName:
        """Transport that requests for this session must name."""
        return TransportName.WEBSOCKET if self.stage is Stage.WEBSOCKET else TransportName.POLLING

    @property
    def is_open(self) -> bool:
        """True until the session is closed by either side."""
        return self.stage in _OPEN

    # polling

    def write(self, packets: Sequence[bytes], size: int) -> bool:
        """Queue packets of `size` bytes, encoded for polling, until `flush`; ignored unless the session is open.

        Return False when a flush is due, because nothing has waited before.
        """
        if self.stage not in _OPEN:
            return True
        waits = self.waiting_bytes > 0
        self._waiting += packets
        self.waiting_bytes += size
        return waits

    def flush(self) -> None:
        """Answer the poll that waits, if there is anything to send."""
        reply, waiting = self._poll, self._waiting
        if reply is None or not waiting:
            return
        self._poll = None
        if len(waiting) == 1:
            self.waiting_bytes = 0
            reply(_polled(waiting.popleft()))
        else:
            reply(_polled(self._take()))

    def poll(self, reply: Reply) -> None:
        """Handle a GET: `reply` is called with the answer, at once or when there is one.

        A poll while another one waits ends the session.
        """
        if self.stage in WITHOUT_POLLING:
            reply(_REFUSED)
            return
        if self._poll is not None:
            reply(_REFUSED)
            self.end(EngineEnd.TRANSPORT_ERROR)
            return
        self._poll = reply
        if self.stage is _CLOSING:
            self._answer_closing()
        elif self._waiting:
            self.flush()
        elif self.stage is _PROBED:
            self._answer(_NOOP)

    def lose(self) -> None:
        """Handle the loss of a request that was not complete or not answered yet, or of the WebSocket."""
        self._poll = None
        lost = EngineEnd.TRANSPORT_CLOSE if self.stage is Stage.WEBSOCKET else EngineEnd.TRANSPORT_ERROR
        self.end(lost)

    def begin_data(self, content_type: str) -> Answer | None:
        """Handle the head of a POST; return the answer when it is refused, which ends the session.

        Only one at a time may arrive, and binary data is in base64. `take_data` is to follow.
        """
        if self.stage in WITHOUT_POLLING:
            return _REFUSED
        if self._receives_data or content_type == BINARY:
            self.end(EngineEnd.TRANSPORT_ERROR)
            return _REFUSED
        self._receives_data = True
        return None

    def take_data(self, body: bytes) -> Answer:
        """Handle the body of a POST, and return the answer; a wrong packet ends the session, after those before it."""
        self._receives_data = False
        try:
            for packet in decode_payload(body, self._max_payload):
                self.receive(packet)
        except EngineError as error:
            if error.fault is Fault.TOO_LARGE:
                self.end(EngineEnd.TRANSPORT_ERROR)
                return Answer(413)
            self.end(EngineEnd.PARSE_ERROR)
        return _TAKEN

    def receive(self, packet: EnginePacket) -> None:
        """Handle a packet of the current transport. Never raises; ignored unless the session is open."""
        if not self.is_open:
            return
        if packet.type is EngineType.MESSAGE or packet.type is EngineType.PONG:
            self._on_packet(packet)
        elif packet.type is EngineType.PING:  # pings are the server's
            self.end(EngineEnd.TRANSPORT_ERROR)
        elif packet.type is EngineType.CLOSE:
            if self._poll is not None:
                self._answer(_NOOP)
            self.end(EngineEnd.TRANSPORT_CLOSE)

    # the upgrade

    def begin_upgrade(self) -> bool:
        """Handle a WebSocket for this session; return False when it is to be closed: it is not the first one."""
        if self.stage is not Stage.POLLING:
            return False
        self.stage = Stage.PROBING
        return True

    def take_probe(self, packet: EnginePacket) -> EnginePacket | None:
        """Handle a packet of a WebSocket that is to take over; return the answer to it.

        Afterwards `stage` tells: WEBSOCKET when it has taken over, and `take_waiting` is to be sent by it; POLLING when
        it is to be closed, because it sent something else.
        """
        if self.stage not in _UPGRADING:
            return None
        if packet.type is EngineType.PING and packet.data == PROBE:
            self.stage = Stage.PROBED
            if self._poll is not None:  # the client polls no more once this one is answered, and then upgrades
                self._answer(self._take() or _NOOP)
            return EnginePacket(EngineType.PONG, PROBE)
        if packet.type is EngineType.UPGRADE:
            self.stage = Stage.WEBSOCKET
            if self._poll is not None:
                self._answer(_NOOP)
            return None
        self.stage = Stage.POLLING
        return None

    def abandon_upgrade(self) -> None:
        """Go on with polling, because the WebSocket is lost or takes too long. Idempotent."""
        if self.stage in _UPGRADING:
            self.stage = Stage.POLLING

    def take_waiting(self) -> list[bytes]:
        """Return the packets that no poll has taken, encoded for polling: the WebSocket has taken over."""
        taken = [*self._waiting]
        self._drop_waiting()
        return taken

    # the end

    def close(self) -> None:
        """Close the session from here, so that the client comes back by itself. Idempotent.

        A polling client gets what waits for it, by its next polls if none waits; the poll after that is refused. Until
        then the session is CLOSING, what the client sends is ignored, and `lose` is to end that. The reference sends
        the packet CLOSE, after which python-engineio does not come back.
        """
        if not self.is_open:
            return
        polls = self.stage is not Stage.WEBSOCKET
        self.stage = Stage.CLOSING if polls else Stage.CLOSED
        if self._poll is not None:
            self._answer_closing()
        self._on_end(EngineEnd.FORCED_CLOSE)

    def end(self, reason: EngineEnd) -> None:
        """End the session at once. Idempotent. A poll that waits is answered with CLOSE."""
        was_open, self.stage = self.is_open, Stage.CLOSED
        if self._poll is not None:
            self._answer(_CLOSE)
        self._drop_waiting()
        if was_open:
            self._on_end(reason)

    def _answer_closing(self) -> None:
        """Answer a poll with what waits, as much as fits; the session is closed after all of it."""
        taken = self._take()
        if not self._waiting:
            self.stage = Stage.CLOSED
        self._answer(taken or _NOOP)

    def _take(self) -> bytes:
        """Remove the packets for the next answer to a poll; return them as its body, empty for none."""
        waiting = self._waiting
        if len(waiting) == 1:
            self.waiting_bytes = 0
            return waiting.popleft()
        taken: list[bytes] = []
        size = 0
        while waiting and len(taken) < MAX_POLLED:
            size += len(waiting[0]) + len(SEPARATOR)
            if taken and self._max_polled is not None and size > self._max_polled:
                break
            taken.append(waiting.popleft())
            self.waiting_bytes -= len(taken[-1])
        return SEPARATOR.join(taken)

    def _drop_waiting(self) -> None:
        self._waiting.clear()
        self.waiting_bytes = 0

    def _answer(self, body: bytes) -> None:
        reply, self._poll = self._poll, None
        assert reply is not None
        reply(_polled(body))


@lru_cache(maxsize=1)
def _polled(body: bytes) -> Answer:
    """Return the answer to a poll: the same one to all clients of a room, which are answered one after the other."""
    return Answer(200, body, TEXT)
