# Generated from schema/namespace_options.toml by `make options`. Do not edit.
"""The options of a channel namespace in the servers' configuration."""

from __future__ import annotations

from collections.abc import Mapping

from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1_namespace import History, Namespace
from realtime_operator.builders.configuration.pruning import Defaults, OptionalDefaults

HISTORY: Defaults = {
    "size": 100,
    "ttl_seconds": 600,
}
NAMESPACE: Defaults = {
    "history": OptionalDefaults(HISTORY),
    "recovery": False,
    "recovery_mode": "stream",
    "ordered": False,
    "force_positioning": False,
    "presence": False,
    "publish": "nobody",
    "subscribe": "anyone",
    "presence_for": "subscribers",
    "history_for": "subscribers",
    "join_leave": False,
    "force_push_join_leave": False,
    "delta": False,
    "write_delay_seconds": 0,
    "slow_consumer": "disconnect",
    "personal_channel": False,
    "single_connection": False,
}
"""Defaults of the server for fields of a namespace that its configuration leaves out."""

RECOVERY: Mapping[str, JsonObject] = {
    "Disabled": {"recovery": False, "recovery_mode": "stream", "ordered": False, "force_positioning": False},
    "Positioned": {"recovery": False, "recovery_mode": "stream", "ordered": False, "force_positioning": True},
    "Stream": {"recovery": True, "recovery_mode": "stream", "ordered": False, "force_positioning": False},
    "Ordered": {"recovery": True, "recovery_mode": "stream", "ordered": True, "force_positioning": False},
    "Cache": {"recovery": True, "recovery_mode": "cache", "ordered": False, "force_positioning": False},
}
PUBLISH: Mapping[str, JsonObject] = {
    "Nobody": {"publish": "nobody"},
    "Subscribers": {"publish": "subscribers"},
    "Anyone": {"publish": "anyone"},
}
SUBSCRIBE: Mapping[str, JsonObject] = {
    "Anyone": {"subscribe": "anyone"},
    "Authenticated": {"subscribe": "authenticated"},
    "Token": {"subscribe": "token"},
}
PRESENCE_FOR: Mapping[str, JsonObject] = {
    "Nobody": {"presence_for": "nobody"},
    "Subscribers": {"presence_for": "subscribers"},
    "Anyone": {"presence_for": "anyone"},
}
HISTORY_FOR: Mapping[str, JsonObject] = {
    "Nobody": {"history_for": "nobody"},
    "Subscribers": {"history_for": "subscribers"},
    "Anyone": {"history_for": "anyone"},
}
JOIN_LEAVE: Mapping[str, JsonObject] = {
    "Disabled": {"join_leave": False, "force_push_join_leave": False},
    "OnRequest": {"join_leave": True, "force_push_join_leave": False},
    "Always": {"join_leave": True, "force_push_join_leave": True},
}
DELTA: Mapping[str, JsonObject] = {
    "Disabled": {"delta": False},
    "Fossil": {"delta": True},
}
SLOW_CONSUMER: Mapping[str, JsonObject] = {
    "Disconnect": {"slow_consumer": "disconnect"},
    "DropOldest": {"slow_consumer": "dropOldest"},
    "Conflate": {"slow_consumer": "conflate"},
}
PERSONAL_CHANNEL: Mapping[str, JsonObject] = {
    "Disabled": {"personal_channel": False, "single_connection": False},
    "Enabled": {"personal_channel": True, "single_connection": False},
    "SingleConnection": {"personal_channel": True, "single_connection": True},
}


def namespace_config(options: Namespace) -> JsonObject:
    """Return all fields of the configuration."""
    return {
        "name": options.name,
        "history": None if options.history is None else _history(options.history),
        **RECOVERY[options.recovery],
        "presence": options.presence,
        **PUBLISH[options.publish],
        **SUBSCRIBE[options.subscribe],
        **PRESENCE_FOR[options.presence_for],
        **HISTORY_FOR[options.history_for],
        **JOIN_LEAVE[options.join_leave],
        **DELTA[options.delta],
        "write_delay_seconds": options.write_delay_seconds,
        **SLOW_CONSUMER[options.slow_consumer],
        **PERSONAL_CHANNEL[options.personal_channel],
    }


def _history(options: History) -> JsonObject:
    """Return all fields of the configuration."""
    return {
        "size": options.size,
        "ttl_seconds": options.ttl_seconds,
    }
