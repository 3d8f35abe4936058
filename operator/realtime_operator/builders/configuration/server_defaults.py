"""The server's names and defaults of settings, and the removal of defaults from its configuration.

realtime_server.settings has the same numbers (tests/contract); none of them changes once it was released
(docs/adr/0019-revisions-are-kept.md). Those of namespaces are in namespace_config.
"""

from __future__ import annotations

from pydantic.alias_generators import to_snake

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.builders.configuration.namespaces import NAMESPACE
from realtime_operator.builders.configuration.pruning import Defaults, ListDefaults, OptionalDefaults, pruned

JWKS: Defaults = {"refresh_seconds": 300, "max_age_seconds": 86_400, "timeout_seconds": 5, "ca_file": None}
TLS: Defaults = {"min_version": "1.2"}
API_TLS: Defaults = {"min_version": "1.2", "client_ca_file": None}
HOOK: Defaults = {"timeout_seconds": 1, "concurrency": 100, "when_down": "deny", "namespaces": []}
EVENT_HOOK: Defaults = {
    "timeout_seconds": 5, "concurrency": 100, "disconnects": True, "channels": False, "queue_size": 100_000,
}  # fmt: skip
API_KEY: Defaults = {"methods": [], "channels": [], "calls_per_second": 0}
SOCKET_NAMESPACE: Defaults = {"channel_namespace": None, "client_events": ["subscribe", "publish"]}
EMITTERS: Defaults = {
    "redis_emitter": OptionalDefaults({"key": "socket.io"}),
    "redis_streams": OptionalDefaults({"stream": "socket.io"}),
    "python_socketio": OptionalDefaults({"channel": "socketio"}),
}
TRACING: Defaults = {
    "sampling_rate_per_million": 0, "max_traces_per_second": 100, "headers": [], "ca_file": None,
    "service_name": "realtime-server", "service_namespace": "",
}  # fmt: skip
ROUTE_ACTION: Defaults = {
    "publish": None,
    "hook": OptionalDefaults({"timeout_seconds": 1, "concurrency": 100, "queue_size": 100_000}),
}
ROUTE: Defaults = {
    "path": "", "subprotocols": [], "format": "text", "envelope": "none", "subscribe": [], "selection": "",
    "actions": ListDefaults(ROUTE_ACTION), "token_cookie": None,
    "limits": {"message_bytes": None, "messages_per_second": None},
}  # fmt: skip
RABBITMQ: Defaults = {"ca_file": None, "certificate_file": None, "key_file": None}
CONSUMER: Defaults = {
    "prefetch": 100,
    "mapping": {"channel": None, "channels_header": None, "commands": OptionalDefaults({"methods": []})},
    "dead_letter": OptionalDefaults({"routing_key": None}),
    "retries": {"attempts": 5, "first_delay_seconds": 1, "max_delay_seconds": 30},
}

SERVER: Defaults = {
    "workers": 1,
    "listen": {
        "host": "::",
        "client_port": naming.PORT_CLIENT,
        "api_port": naming.PORT_API,
        "admin_port": naming.PORT_ADMIN,
        "handshake_seconds": 10,
        "tls": OptionalDefaults(TLS),
        "proxy_protocol": False,
        "trusted_proxies": [],
        "forwarded_header": "X-Forwarded-For",
    },
    "heartbeat": {"interval_seconds": 25, "timeout_seconds": 8},
    "compression": {"enabled": False, "threshold_bytes": 1024},
    "protocols": {
        "centrifuge": {"enabled": True},
        "socket_io": {
            "enabled": False,
            "path": "/socket.io/",
            "namespaces": ListDefaults(SOCKET_NAMESPACE),
            "emitters": EMITTERS,
        },
        "web_socket": {"routes": ListDefaults(ROUTE)},
    },
    "limits": {
        "connections": 10_000,
        "handshakes": 10_000,
        "connects_per_second": 0,
        "connections_per_user": 0,
        "channels_per_connection": 128,
        "message_bytes": 65_536,
        "messages_per_second": 100,
        "outbox_bytes": 1_048_576,
    },
    "origins": [],
    "namespaces": ListDefaults(NAMESPACE),
    "auth": {
        "anonymous": False,
        "token_keys": [],
        "subscription_token_keys": [],
        "jwks": OptionalDefaults(JWKS),
        "issuer": None,
        "audience": None,
        "leeway_seconds": 5,
        "revocation_seconds": 2_592_000,
    },
    "hooks": {
        **{
            name: OptionalDefaults(HOOK)
            for name in ("connect", "refresh", "subscribe", "sub_refresh", "publish", "rpc")
        },
        "events": OptionalDefaults(EVENT_HOOK),
        "forward_headers": [],
        "secret_file": None,
        "ca_file": None,
    },
    "api": {
        "key_file": None,
        "keys": ListDefaults(API_KEY),
        "on_client_port": False,
        "tls": OptionalDefaults(API_TLS),
    },
    "admin": {"token_file": None},
    "backplane": {"redis": None, "prefix": "realtime"},
    "brokers": ListDefaults({"rabbitmq": RABBITMQ}),
    "consumers": ListDefaults(CONSUMER),
    "drain": {"timeout_seconds": 600, "settle_seconds": 5},
    "tracing": OptionalDefaults(TRACING),
}
"""Defaults of every field that the operator may write into the server's configuration."""


def server_word(word: str) -> str:
    """Return the server's own word for a value of an enumeration of the spec: `presence_stats` for `PresenceStats`."""
    return to_snake(word)


def without_defaults(config: JsonObject) -> JsonObject:
    """Return a server's configuration without the fields that have the server's default."""
    return pruned(config, SERVER)
