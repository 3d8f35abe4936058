"""Tests of the removal of default values."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.builders.configuration.pruning import Defaults, ListDefaults, OptionalDefaults, pruned

ITEM: Defaults = {"size": 100, "seconds": 600}
DEFAULTS: Defaults = {
    "workers": 1,
    "limits": {"connections": 10, "handshakes": 20},
    "namespaces": ListDefaults({"recovery": False, "history": OptionalDefaults(ITEM)}),
    "hook": OptionalDefaults({"concurrency": 100, "file": None}),
}


@pytest.mark.parametrize(
    ("config", "short"),
    [
        ({}, {}),
        ({"workers": 1}, {}),
        ({"workers": 2}, {"workers": 2}),
        ({"limits": {"connections": 10, "handshakes": 1}}, {"limits": {"handshakes": 1}}),
        ({"limits": {"connections": 10}}, {}),
        ({"namespaces": []}, {}),
        ({"namespaces": [{"name": "a", "recovery": False}]}, {"namespaces": [{"name": "a"}]}),
        (
            {"namespaces": [{"name": "a", "history": {"size": 100, "seconds": 1}}]},
            {"namespaces": [{"name": "a", "history": {"seconds": 1}}]},
        ),
        ({"namespaces": [{"name": "a", "history": ITEM}]}, {"namespaces": [{"name": "a", "history": {}}]}),
        ({"hook": None}, {}),
        ({"hook": {"url": "u", "concurrency": 100, "file": None}}, {"hook": {"url": "u"}}),
    ],
    ids=str,
)
def test_what_the_server_would_do_anyway_is_left_out(config: JsonObject, short: JsonObject) -> None:
    """Defaults are removed at every depth; an object that is absent by default is kept, even when empty."""
    assert pruned(config, DEFAULTS) == short


def test_what_is_not_in_the_table_stays() -> None:
    config: JsonObject = {"later": 1, "limits": {"later": None}, "hook": {"later": []}}
    assert pruned(config, DEFAULTS) == config
