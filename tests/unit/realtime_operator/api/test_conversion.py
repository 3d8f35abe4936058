"""Tests of the edits that convert an old object."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.conversion import edits_of

NEEDS_RECOVERY = "is false, but recoveryMode cache requires it: set it to true, or remove recoveryMode"


def lines(spec: JsonObject) -> list[str]:
    """Return the edits and obstacles of a spec as text."""
    edits, obstacles = edits_of({"kind": "RealtimeCluster", "spec": spec})
    return [*map(str, edits), *map(str, obstacles)]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"auth": {"anonymous": True}}, "spec.auth.anonymous is now Allow"),
        (
            {"hooks": {"events": {"url": "http://a", "disconnects": False, "channels": True}}},
            (
                "spec.hooks.events.disconnects and spec.hooks.events.channels are replaced by"
                " spec.hooks.events.types: [Channels]"
            ),
        ),
        (
            {"api": {"keys": [{}, {"secretRef": {"name": "a", "key": "b"}}]}},
            "spec.api.keys[1].secretRef is replaced by spec.api.keys[1].secretKeyRef",
        ),
        ({"namespaces": [{"name": "a", "recovery": False}]}, "spec.namespaces[0].recovery is now Disabled"),
        (
            {"namespaces": [{"name": "a", "recovery": True, "recoveryMode": "cache"}]},
            (
                "spec.namespaces[0].recovery and spec.namespaces[0].recoveryMode are replaced by"
                " spec.namespaces[0].recovery: Cache"
            ),
        ),
        (
            {"namespaces": [{"name": "a", "recoveryMode": "cache"}]},
            f"spec.namespaces[0].recovery: {NEEDS_RECOVERY}",
        ),
        (
            {"namespaces": [{"name": "a", "recovery": "Stream", "recoveryMode": "cache"}]},
            "spec.namespaces[0].recovery: must be true or false, with recoveryMode stream or cache",
        ),
        (
            {"namespaces": [{"name": "a", "slowConsumer": "dropOldest"}]},
            "spec.namespaces[0].slowConsumer is now DropOldest",
        ),
        ({"hooks": {"publish": {"whenDown": "deny"}}}, "spec.hooks.publish.whenDown is now Deny"),
        (
            {"api": {"keys": [{"methods": ["History", "history_remove"]}]}},
            "spec.api.keys[0].methods[1] is now HistoryRemove",
        ),
        (
            {"rollout": {"drain": {"connectionsPerSecond": "auto"}}},
            "spec.rollout.drain.connectionsPerSecond is now Auto",
        ),
        ({"auth": {"anonymous": "yes", "audience": "a"}}, "spec.auth.audience is replaced by spec.auth.audiences: [a]"),
    ],
)
def test_former_names_and_values_are_converted(spec: JsonObject, expected: str) -> None:
    """There is one edit for each former name, with its paths; current names are kept."""
    assert lines(spec) == [expected]


@pytest.mark.parametrize(
    "document", [None, {}, {"spec": None}, {"spec": []}, {"spec": {"auth": 1, "hooks": []}}], ids=str
)
def test_what_is_no_spec_needs_no_edit(document: JsonValue) -> None:
    """Invalid documents are left for validation to report."""
    assert edits_of(document) == ((), ())


def test_current_values_need_no_edit() -> None:
    """Fields that kept their name need no edit either, if the value is of the current kind."""
    drain: JsonObject = {"connectionsPerSecond": 100}
    assert (
        lines({"auth": {"anonymous": "Deny"}, "rollout": {"drain": drain}, "hooks": {"rpc": {"url": "http://a"}}}) == []
    )
