"""The part of the server's configuration that describes the routes for clients without an SDK."""

from __future__ import annotations

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1_routes import RouteAction, RouteHook, WebSocketRoute
from realtime_operator.builders.configuration.server_defaults import server_word


def route_config(route: WebSocketRoute) -> JsonObject:
    """Return the configuration of a route, with defaults. Durations in seconds, sizes in bytes."""
    return {
        "name": route.name,
        "path": route.path,
        "subprotocols": [*route.subprotocols],
        "format": server_word(route.format),
        "envelope": server_word(route.envelope),
        "subscribe": [*route.subscribe],
        "selection": route.selection,
        "actions": [_action(action) for action in route.actions],
        "token_cookie": route.token_cookie,
        "limits": {
            "message_bytes": route.limits.message_bytes_number,
            "messages_per_second": route.limits.messages_per_second,
        },
    }


def _action(action: RouteAction) -> JsonObject:
    publish: JsonValue = None if action.publish is None else {"channel": action.publish.channel}
    return {"key": action.key, "publish": publish, "hook": None if action.hook is None else _hook(action.hook)}


def _hook(hook: RouteHook) -> JsonObject:
    return {
        "url": hook.url,
        "timeout_seconds": hook.timeout_seconds,
        "concurrency": hook.concurrency,
        "queue_size": hook.queue_size,
    }
