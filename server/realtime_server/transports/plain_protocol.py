"""Routes for clients without an SDK at the port for clients: WebSocket, and Server-Sent Events on the same paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from websockets.typing import Subprotocol

from realtime_server.core.node import Node
from realtime_server.core.ports.route_hooks import RouteHooks
from realtime_server.protocols.plain.epochs import Epochs
from realtime_server.protocols.plain.plain_session import PlainSession
from realtime_server.protocols.plain.request import RequestError, chosen_subprotocol
from realtime_server.protocols.plain.route import Route
from realtime_server.transports import http_server
from realtime_server.transports.accelerated import Flusher
from realtime_server.transports.client_protocol import ClientWebSocket, HandshakeRefusal
from realtime_server.transports.handshake import AcceptedHandshake
from realtime_server.transports.path_table import PathTable
from realtime_server.transports.plain_route import PlainCodecs, PlainRoute
from realtime_server.transports.plain_stream import METHODS, PlainStreamEndpoint


@dataclass(frozen=True, slots=True)
class PlainSettings:
    """Settings of the routes in one worker. `compression_threshold`: see PlainCodecs."""

    max_connections: int
    compression_threshold: int | None = None


class PlainProtocol:
    """Routes of a worker: implements ClientProtocol. `flusher` is that of all connections of the worker."""

    def __init__(
        self, node: Node, routes: Sequence[Route], settings: PlainSettings, hooks: RouteHooks, flusher: Flusher
    ) -> None:
        epochs = Epochs(lambda channel: epoch_of(node, channel))
        self._node = node
        self._settings = settings
        self._flusher = flusher
        self._codecs = PlainCodecs(epochs, settings.compression_threshold)
        by_pattern = {route.path.pattern: PlainRoute(node, route, hooks, epochs) for route in routes}
        self._routes = PathTable(by_pattern)
        self.websocket_paths = tuple(by_pattern)

    def routes(self) -> Mapping[str, http_server.Route]:
        """See ClientProtocol."""
        return {
            path: http_server.Route(METHODS, self._endpoint(route), opens=_always)
            for path, route in self._routes.by_pattern.items()
        }

    def select_subprotocol(self, path: str, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        """See ClientProtocol."""
        chosen = chosen_subprotocol(self._route_of(path).route.subprotocols, offered)
        return None if chosen is None else Subprotocol(chosen)

    def why_not(self, path: str, values: Callable[[str], list[str]]) -> HandshakeRefusal | None:
        """See ClientProtocol: values of the client that no channel's name may have are refused."""
        try:
            self._route_of(path).request_of(path, values, events=False)
        except RequestError as error:
            return HandshakeRefusal(error.status, f"{error}\n", "text/plain; charset=utf-8", error.reason)
        return None

    def open(self, connection: ClientWebSocket, accepted: AcceptedHandshake) -> PlainSession:
        """See ClientProtocol."""
        route = self._route_of(accepted.path)
        request, resumption = route.request_of(accepted.path, accepted.values, events=False)
        codec = self._codecs.websocket(route.route, compressed=accepted.compressed)
        transport = connection.describe(route.transport("websocket"), accepted.values)
        session = route.open(connection, request, resumption, codec, transport)
        session.begin()
        return session

    def _route_of(self, target: str) -> PlainRoute:
        route = self._routes.find(target.partition("?")[0])
        assert route is not None
        return route

    def _endpoint(self, route: PlainRoute) -> PlainStreamEndpoint:
        return PlainStreamEndpoint(self._node, route, self._codecs, self._settings.max_connections, self._flusher)


def _always(_query: bytes) -> bool:
    return True


def epoch_of(node: Node, channel: str) -> str:
    """Return the epoch of a channel that has subscribers in this worker, "" for any other."""
    found = node.hub.channels.get(channel)
    return "" if found is None or found.position is None else found.position.epoch
