"""Tests of the operator's copy of the server's defaults; tests/contract compares it with the server's own."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.builders.configuration.server_defaults import without_defaults


@pytest.mark.parametrize(
    ("config", "short"),
    [
        ({"workers": 1, "limits": {"connections": 10_000, "handshakes": 1}}, {"limits": {"handshakes": 1}}),
        ({"namespaces": [{"name": "a", "recovery": False, "history": None}]}, {"namespaces": [{"name": "a"}]}),
        ({"hooks": {"rpc": {"url": "u", "concurrency": 100}}}, {"hooks": {"rpc": {"url": "u"}}}),
        ({"auth": {"jwks": {"url": "u", "ca_file": None}}}, {"auth": {"jwks": {"url": "u"}}}),
    ],
    ids=str,
)
def test_what_the_server_would_do_anyway_is_left_out(config: JsonObject, short: JsonObject) -> None:
    """Every part of the configuration without values of its own is pruned."""
    assert without_defaults(config) == short
