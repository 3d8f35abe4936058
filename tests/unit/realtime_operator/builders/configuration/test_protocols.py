"""Client protocols in the server's configuration."""

from __future__ import annotations

import json

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.builders.configuration.config_map import server_config
from realtime_server.settings import Settings
from tests.kit.document import object_at
from tests.kit.manifests import cluster_of

SOCKET_IO: JsonObject = {
    "mode": "Enabled",
    "namespaces": [{"name": "/"}, {"name": "/chat", "channelNamespace": "chat", "clientEvents": ["Publish"]}],
}


def test_a_protocol_that_is_off_is_not_in_the_configuration() -> None:
    """Servers of earlier releases do not know it; its other settings have no meaning then."""
    off: JsonObject = {"protocols": {"socketIO": {"path": "/live/", "namespaces": [{"name": "/a"}]}}}
    assert server_config(cluster_of(off)) == server_config(cluster_of({}))
    assert "protocols" not in server_config(cluster_of({}))


def test_socket_io_is_what_the_spec_says() -> None:
    """The server reads it as it is."""
    spec: JsonObject = {
        "namespaces": [{"name": "chat"}],
        "protocols": {"centrifuge": {"mode": "Disabled"}, "socketIO": SOCKET_IO},
    }
    config = server_config(cluster_of(spec))
    assert object_at(config, "protocols") == {
        "centrifuge": {"enabled": False},
        "socket_io": {
            "enabled": True,
            "namespaces": [{"name": "/"}, {"name": "/chat", "channel_namespace": "chat", "client_events": ["publish"]}],
        },
    }
    read = Settings.model_validate_json(json.dumps(config)).protocols
    assert read.socket_io.path == "/socket.io/"
    assert [each.client_events for each in read.socket_io.namespaces] == [("subscribe", "publish"), ("publish",)]


def test_emitters_are_read_in_the_formats_of_the_spec() -> None:
    """Names that emitters have by default are left out; without formats there is nothing to read."""
    formats: list[JsonValue] = ["RedisEmitter", "PythonSocketIO"]
    emitters: JsonObject = {"formats": formats, "channel": "mine", "stream": "unused"}
    config = server_config(cluster_of({"protocols": {"socketIO": {"mode": "Enabled", "emitters": emitters}}}))
    socket_io = object_at(object_at(config, "protocols"), "socket_io")
    assert socket_io == {"enabled": True, "emitters": {"redis_emitter": {}, "python_socketio": {"channel": "mine"}}}
    read = Settings.model_validate_json(json.dumps(config)).protocols.socket_io.emitters
    assert read.redis_emitter is not None
    assert read.redis_emitter.key == "socket.io"
    assert read.redis_streams is None
    assert read.python_socketio is not None
    assert read.python_socketio.channel == "mine"
    off = server_config(cluster_of({"protocols": {"socketIO": {"mode": "Enabled", "emitters": {"key": "mine"}}}}))
    assert object_at(object_at(off, "protocols"), "socket_io") == {"enabled": True}
