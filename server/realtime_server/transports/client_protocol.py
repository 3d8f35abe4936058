"""Client protocol as the port for clients serves it: its paths, its endpoints, and the sessions of its WebSockets.

A protocol is one object, see `ClientProtocol`. What all share is the port's: TLS, proxies, origins, limits, and the
WebSocket itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from websockets.typing import Subprotocol

from realtime_server.codes import DisconnectCode
from realtime_server.core.ports.backend import TransportInfo
from realtime_server.core.ports.client import Connection
from realtime_server.transports.handshake import AcceptedHandshake
from realtime_server.transports.http_server import Route
from realtime_server.transports.path_table import PathTable
from realtime_server.transports.websocket_paths import WebSocketPaths


class WebSocketSession(Protocol):
    """Receiver of what happens on a WebSocket; core's Session is one. `now` is monotonic seconds."""

    @property
    def closed(self) -> bool:
        """True after its end."""

    @property
    def admitted(self) -> bool:
        """True once its client is admitted."""

    def on_text(self, payload: bytes, now: float) -> None:
        """Handle a text message, which may be no UTF-8. Never raises."""

    def on_binary(self, payload: bytes, now: float) -> None:
        """Handle a binary message. Never raises."""

    def on_control(self, now: float) -> None:
        """Handle a ping or pong, which counts towards the rate of messages."""

    def on_pong(self) -> None:
        """Handle a pong."""

    def on_writable(self) -> None:
        """Handle the end of a congestion."""

    def note_unanswered(self, code: int) -> None:
        """Count a connect that ends with this code, unless it was answered."""

    def disconnect(self, code: DisconnectCode) -> None:
        """Close the connection with a code. Idempotent."""

    def on_closed(self) -> None:
        """Handle the end of the connection. Idempotent."""


class ClientWebSocket(Connection, Protocol):
    """Open WebSocket of a client."""

    def describe(self, transport: TransportInfo, values: Callable[[str], list[str]]) -> TransportInfo:
        """Return `transport` with the client's address and the headers for the backend, if there is a backend.

        `values` returns the lines of a header, see AcceptedHandshake.
        """

    def limit_silence(self, seconds: float) -> None:
        """Have the kernel end the connection when data stays unacknowledged for so long."""

    def end_silently(self) -> None:
        """Have `close` end the stream without a close frame after codes after which clients come back.

        OkHttp reads nothing any more after a close frame that its application does not answer.
        """

    def close_with(self, code: int, reason: str = "") -> None:
        """Send the waiting data, then a close frame with a code of RFC 6455, section 7.4. Idempotent."""


@dataclass(frozen=True, slots=True)
class HandshakeRefusal:
    """Refusal of a handshake by a protocol: its HTTP answer. It is counted under `reason`."""

    status: int
    body: str
    content_type: str
    reason: str
    headers: Mapping[str, str] = field(default_factory=dict)


class ClientProtocol(Protocol):
    """Client protocol as the port for clients serves it."""

    @property
    def websocket_paths(self) -> Sequence[str]:
        """Patterns of the paths on which a GET opens a WebSocket, see PathTable; those in `routes` need `Upgrade`."""

    def routes(self) -> Mapping[str, Route]:
        """Return the HTTP endpoints by patterns of their paths, see PathTable."""

    def select_subprotocol(self, path: str, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        """Return the one of the offered subprotocols to use, None for none; `path` has no query."""

    def why_not(self, path: str, values: Callable[[str], list[str]]) -> HandshakeRefusal | None:
        """Return the refusal of a handshake; None when nothing but the port's own rules can refuse it.

        `path` has its query, `values` returns the lines of a header. It may be called twice for one handshake.
        """

    def open(self, connection: ClientWebSocket, accepted: AcceptedHandshake) -> WebSocketSession:
        """Return the session of a WebSocket that has opened."""


class ProtocolTable:
    """Client protocols of a port. `by_path`: those of the paths on which WebSockets open. Paths must not be in two."""

    def __init__(self, protocols: Iterable[ClientProtocol]) -> None:
        by_path: dict[str, ClientProtocol] = {}
        self.routes: dict[str, Route] = {}
        for protocol in protocols:
            routes = protocol.routes()
            paths = {*protocol.websocket_paths, *routes}
            taken = paths & (by_path.keys() | self.routes.keys())
            assert not taken, taken
            by_path.update(dict.fromkeys(protocol.websocket_paths, protocol))
            self.routes.update(routes)
        self.by_path = PathTable(by_path)
        self.dedicated = tuple(path for path in by_path if path not in self.routes)
        """Paths on which there are only WebSockets."""
        shared = (path for path in by_path if path in self.routes)
        self.websocket_paths = WebSocketPaths(self.dedicated, shared)
