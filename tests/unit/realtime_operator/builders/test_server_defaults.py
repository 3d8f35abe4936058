"""A configuration without what the server would do anyway."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.builders.server_defaults import without_defaults


@pytest.mark.parametrize(
    ("config", "short"),
    [
        ({}, {}),
        ({"workers": 1}, {}),
        ({"workers": 2}, {"workers": 2}),
        ({"limits": {"connections": 10_000, "handshakes": 1}}, {"limits": {"handshakes": 1}}),
        ({"limits": {"connections": 10_000}}, {}),
        ({"namespaces": []}, {}),
        ({"namespaces": [{"name": "a", "recovery": False}]}, {"namespaces": [{"name": "a"}]}),
        (
            {"namespaces": [{"name": "a", "history": {"size": 100, "ttl_seconds": 1}}]},
            {"namespaces": [{"name": "a", "history": {"ttl_seconds": 1}}]},
        ),
        ({"hooks": {"rpc": None}}, {}),
        ({"hooks": {"rpc": {"url": "u", "concurrency": 100}}}, {"hooks": {"rpc": {"url": "u"}}}),
        ({"auth": {"jwks": {"url": "u", "ca_file": None}}}, {"auth": {"jwks": {"url": "u"}}}),
    ],
    ids=str,
)
def test_what_the_server_would_do_anyway_is_left_out(config: JsonObject, short: JsonObject) -> None:
    """In every depth; an object that is absent by default stays, for it says that it is there."""
    assert without_defaults(config) == short


def test_what_is_not_in_the_table_stays() -> None:
    """Nothing is left out by mistake."""
    config: JsonObject = {"later": 1, "limits": {"later": None}, "hooks": {"rpc": {"later": []}}}
    assert without_defaults(config) == config
