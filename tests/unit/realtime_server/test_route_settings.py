"""Tests of the settings of routes: what is wrong is said when the server starts."""

from __future__ import annotations

import json

import pytest
from pydantic import ValidationError

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_server.protocols.plain.route import HookAction, PublishAction
from realtime_server.route_settings import WebSocketRoutes
from realtime_server.settings import Settings

HOOK: JsonObject = {"url": "http://backend/hook"}
PUBLISH: JsonObject = {"channel": "orders:{query.id}"}


def settings_with(*routes: JsonObject, **more: JsonValue) -> Settings:
    """Return settings with routes and one namespace."""
    document = {"protocols": {"web_socket": {"routes": routes}}, "namespaces": [{"name": "orders"}], **more}
    return Settings.model_validate_json(json.dumps(document))


def test_a_route_is_made_from_its_settings() -> None:
    settings = settings_with(
        {
            "name": "orders", "subprotocols": ["v1"], "envelope": "json", "subscribe": ["orders:{query.id}", "#{sub}"],
            "selection": "/action", "token_cookie": "session",
            "limits": {"message_bytes": 10, "messages_per_second": 2},
            "actions": [{"key": "$default", "publish": PUBLISH}, {"key": "quote", "hook": HOOK}],
        },
        origins=["https://app.example"],
    )  # fmt: skip
    route = settings.protocols.web_socket.routes[0].to_route()
    assert (str(route.path), route.envelope, route.binary, route.subprotocols) == ("/ws/orders", True, False, ("v1",))
    assert [template.text for template in route.templates] == ["orders:{query.id}", "#{sub}", "orders:{query.id}"]
    assert {key: type(action) for key, action in route.actions.items()} == {
        "$default": PublishAction,
        "quote": HookAction,
    }
    assert (route.token_cookie, route.message_bytes, route.messages_per_second) == ("session", 10, 2)
    assert settings.protocols.web_socket.has_hooks


@pytest.mark.parametrize(
    ("route", "why"),
    [
        ({"name": "Orders", "subscribe": ["orders"]}, "should match pattern"),
        ({"name": "a/b", "subscribe": ["orders"]}, "should match pattern"),
        ({"name": "a", "path": "{room}", "subscribe": ["orders"]}, "is no path below a route"),
        ({"name": "a", "path": "/{room}", "subscribe": ["orders:{path.desk}"]}, "is not in the path /ws/a/{room}; add"),
        ({"name": "a"}, "has neither subscribe nor actions"),
        ({"name": "a", "subscribe": ["{query.a}:b"]}, "must not be in the namespace"),
        ({"name": "a", "subscribe": ["orders:{id}"]}, "is no placeholder"),
        ({"name": "a", "subscribe": ["other:a"]}, "there is no namespace other"),
        ({"name": "a", "actions": [{"key": "$default", "publish": {"channel": "other:a"}}]}, "there is no namespace"),
        ({"name": "a", "actions": [{"key": "$default"}]}, "set one of publish and hook"),
        (
            {"name": "a", "actions": [{"key": "$default", "publish": PUBLISH, "hook": HOOK}]},
            "set one of publish and hook",
        ),
        ({"name": "a", "actions": [{"key": "$other", "hook": HOOK}]}, "keys that begin with"),
        ({"name": "a", "actions": [{"key": "$connect", "publish": PUBLISH}]}, "is no message"),
        ({"name": "a", "actions": [{"key": "x", "hook": HOOK}]}, "needs selection"),
        ({"name": "a", "actions": [{"key": "$default", "hook": HOOK}] * 2}, "is defined twice"),
        ({"name": "a", "subscribe": ["orders"], "selection": "action"}, "is no JSON pointer"),
        ({"name": "a", "subscribe": ["orders"], "format": "binary", "envelope": "json"}, "an envelope is text"),
        ({"name": "a", "subscribe": ["orders"], "subprotocols": ["access_token"]}, "announces a token"),
        ({"name": "a", "subscribe": ["orders"], "subprotocols": ["a b"]}, "should match pattern"),
        ({"name": "a", "subscribe": ["orders"], "token_cookie": "session"}, "token_cookie needs origins"),
    ],
)
def test_a_bad_route_is_refused(route: JsonObject, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        settings_with(route)


def test_a_name_is_used_once() -> None:
    route: JsonObject = {"name": "a", "subscribe": ["orders"]}
    with pytest.raises(ValidationError, match="a is defined twice"):
        settings_with(route, route)


def test_without_routes_there_is_nothing() -> None:
    assert not WebSocketRoutes().has_hooks
    assert [*WebSocketRoutes().templates()] == []
