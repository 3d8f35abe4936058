"""Client protocols in the server's configuration."""

from __future__ import annotations

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1_protocols import Emitters, Protocols, SocketIoProtocol
from realtime_operator.builders.configuration.routes import route_config
from realtime_operator.builders.configuration.server_defaults import server_word


def protocols_config(protocols: Protocols) -> JsonObject:
    """Return the settings of all client protocols."""
    return {
        "centrifuge": {"enabled": protocols.centrifuge.mode == "Enabled"},
        "socket_io": _socket_io(protocols.socket_io),
        "web_socket": {"routes": [route_config(route) for route in protocols.web_socket.routes]},
    }


def _socket_io(socket_io: SocketIoProtocol) -> JsonObject:
    """Return the settings of Socket.IO; empty when it is off, where the others have no meaning."""
    if socket_io.mode == "Disabled":
        return {}
    namespaces: list[JsonValue] = [
        {
            "name": each.name,
            "channel_namespace": each.channel_namespace,
            "client_events": [server_word(event) for event in each.client_events],
        }
        for each in socket_io.namespaces
    ]
    return {
        "enabled": True,
        "path": socket_io.path,
        "namespaces": namespaces,
        "emitters": _emitters(socket_io.emitters),
    }


def _emitters(emitters: Emitters) -> JsonObject:
    """Return where the servers read each format; null for one that is off."""
    places: dict[str, tuple[str, JsonObject]] = {
        "RedisEmitter": ("redis_emitter", {"key": emitters.key}),
        "RedisStreams": ("redis_streams", {"stream": emitters.stream}),
        "PythonSocketIO": ("python_socketio", {"channel": emitters.channel}),
    }
    return {name: place if kind in emitters.formats else None for kind, (name, place) in places.items()}
