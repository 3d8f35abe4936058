"""The server's own words and defaults, and a configuration without what equals them.

A server of an earlier release refuses a field that it does not know. It meets such a field only where somebody has
asked for something else than the default, and so for what that release cannot do. realtime_server.settings has the same
numbers (tests/contract); none of them changes once it was released (docs/adr/0019-revisions-are-kept.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from pydantic.alias_generators import to_snake

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue


@dataclass(frozen=True, slots=True)
class Each:
    """A list of objects, empty by default; `fields` are the defaults of each."""

    fields: Defaults


@dataclass(frozen=True, slots=True)
class Maybe:
    """An object that is absent by default; `fields` are the defaults of one that is there."""

    fields: Defaults


Defaults: TypeAlias = "Mapping[str, JsonValue | Each | Maybe | Defaults]"

HISTORY: Defaults = {"size": 100, "ttl_seconds": 600}
NAMESPACE: Defaults = {
    "history": Maybe(HISTORY),
    "recovery": False,
    "presence": False,
    "subscribe": "anyone",
    "publish": "nobody",
    "presence_for": "subscribers",
    "history_for": "subscribers",
    "recovery_mode": "stream",
    "join_leave": False,
    "delta": False,
    "write_delay_seconds": 0,
    "slow_consumer": "disconnect",
}
JWKS: Defaults = {"refresh_seconds": 300, "max_age_seconds": 86_400, "ca_file": None}
HOOK: Defaults = {"timeout_seconds": 1, "concurrency": 100, "when_down": "deny", "namespaces": []}
EVENT_HOOK: Defaults = {
    "timeout_seconds": 5, "concurrency": 100, "disconnects": True, "channels": False, "queue_size": 100_000,
}  # fmt: skip
API_KEY: Defaults = {"methods": [], "channels": [], "calls_per_second": 0}

SERVER: Defaults = {
    "workers": 1,
    "listen": {
        "host": "::",
        "client_port": naming.PORT_CLIENT,
        "api_port": naming.PORT_API,
        "admin_port": naming.PORT_ADMIN,
    },
    "heartbeat": {"interval_seconds": 25, "timeout_seconds": 8},
    "compression": {"enabled": False, "threshold_bytes": 1024},
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
    "namespaces": Each(NAMESPACE),
    "auth": {
        "anonymous": False,
        "token_keys": [],
        "subscription_token_keys": [],
        "jwks": Maybe(JWKS),
        "issuer": None,
        "audience": None,
        "leeway_seconds": 5,
    },
    "hooks": {
        **{name: Maybe(HOOK) for name in ("connect", "refresh", "subscribe", "sub_refresh", "publish", "rpc")},
        "events": Maybe(EVENT_HOOK),
        "forward_headers": [],
        "secret_file": None,
    },
    "api": {"key_file": None, "keys": Each(API_KEY)},
    "admin": {"token_file": None},
    "backplane": {"redis": None, "prefix": "realtime"},
    "drain": {"timeout_seconds": 600, "settle_seconds": 5},
}
"""Of every field that the operator may write."""


def server_word(word: str) -> str:
    """Return the server's own word for a value of an enumeration of the spec: `presence_stats` for `PresenceStats`."""
    return to_snake(word)


def without_defaults(config: JsonObject, defaults: Defaults = SERVER) -> JsonObject:
    """The configuration without the fields that say what the server would do anyway."""
    pruned = {name: _pruned(value, defaults.get(name)) for name, value in config.items()}
    return {name: value for name, value in pruned.items() if name not in defaults or value != _empty(defaults[name])}


def _pruned(value: JsonValue, default: JsonValue | Each | Maybe | Defaults) -> JsonValue:
    match default:
        case Each() if isinstance(value, list):
            return [_pruned(item, default.fields) for item in value]
        case Maybe():
            return _pruned(value, default.fields)
        case Mapping() if isinstance(value, dict):
            return without_defaults(value, default)
    return value


def _empty(default: JsonValue | Each | Maybe | Defaults) -> JsonValue:
    """What a pruned value is when it says nothing."""
    match default:
        case Each():
            return []
        case Maybe():
            return None
        case Mapping():
            return {}
    return default
