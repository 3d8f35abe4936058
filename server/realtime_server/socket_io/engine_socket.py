"""WebSocket of an Engine.IO connection."""

from __future__ import annotations

from realtime_server.codes import DisconnectCode
from realtime_server.core.ports.client import Connection
from realtime_server.socket_io.engine_connection import EngineConnection


class EngineSocket:
    """WebSocket of a connection, current or about to take over: handler of what arrives by it.

    `closed` is always True: its end is counted for each socket of Socket.IO on it, not for itself.
    """

    __slots__ = ("_connection", "_wire")

    closed = True

    def __init__(self, connection: EngineConnection, wire: Connection) -> None:
        self._connection = connection
        self._wire = wire

    @property
    def _is_current(self) -> bool:
        return self._connection.wire is self._wire

    @property
    def admitted(self) -> bool:
        """True when a socket of the connection is admitted."""
        return self._connection.admitted

    def on_text(self, payload: bytes, now: float) -> None:
        """Handle a text message."""
        del now
        if self._is_current:
            self._connection.take_text(payload)
        else:
            self._connection.take_probe(self._wire, payload)

    def on_binary(self, payload: bytes, now: float) -> None:
        """Handle a binary message."""
        del now
        if self._is_current:
            self._connection.take_binary(payload)
        else:
            self._connection.abandon_upgrade(self._wire)

    def on_control(self, now: float) -> None:
        """Count a ping or pong of the WebSocket itself."""
        self._connection.charge(now)

    def on_pong(self) -> None:
        """Handle a pong of the WebSocket itself, which has no meaning."""

    def on_writable(self) -> None:
        """Handle a write buffer that has drained."""
        if self._is_current:
            self._connection.on_writable()

    def note_unanswered(self, code: int) -> None:
        """Handle the end by a broken frame, which the end of each socket counts."""

    def disconnect(self, code: DisconnectCode) -> None:
        """Close it for a reason of the transport."""
        if self._is_current:
            self._connection.close(code)
        else:
            self._connection.abandon_upgrade(self._wire)

    def on_closed(self) -> None:
        """Handle its end."""
        if self._is_current:
            self._connection.lose()
        else:
            self._connection.abandon_upgrade(self._wire)
