"""Client protocols in the server's configuration."""

from __future__ import annotations

import json

from realtime_operator.api.base import JsonObject
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
