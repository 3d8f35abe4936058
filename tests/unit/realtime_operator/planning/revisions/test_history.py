"""Tests of the history of revisions, and the way back."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import merge_patch
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.planning.revisions.history import KEPT, difference, recorded, rollbacks
from tests.unit.realtime_operator.planning.memory_platform import MemoryPlatform

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def cluster(**spec: JsonValue) -> RealtimeCluster:
    """Return a cluster with a spec."""
    return RealtimeCluster.from_object({"metadata": {"name": "main"}, "spec": spec})


def test_a_revision_is_recorded_once_it_serves_as_a_whole() -> None:
    assert recorded(cluster(), None, None, "a", NOW) == []
    first = recorded(cluster(server={"workers": 2}, replicas=3), None, "a", "a", NOW)
    assert first == [{"revision": "a", "completedAt": "2026-01-01T00:00:00Z", "spec": '{"server":{"workers":2}}'}]
    assert recorded(cluster(), first, "a", "a", NOW) == first
    assert recorded(cluster(), first, "a", "b", NOW) == first
    assert [e["revision"] for e in recorded(cluster(), first, "b", "b", NOW) if isinstance(e, dict)] == ["b", "a"]


def test_a_revision_that_comes_back_is_first_again() -> None:
    kept: list[JsonValue] = []
    for revision in ("a", "b", "a"):
        kept = recorded(cluster(), kept, revision, revision, NOW)
    assert [e["revision"] for e in kept if isinstance(e, dict)] == ["a", "b"]


def test_the_history_is_short() -> None:
    """The oldest revision is dropped."""
    kept: list[JsonValue] = []
    for number in range(KEPT + 3):
        kept = recorded(cluster(), kept, f"r{number}", f"r{number}", NOW)
    assert len(kept) == KEPT


def test_going_back_makes_the_old_revision_and_leaves_the_rest() -> None:
    """`undo` restores the former server settings and keeps the current number of servers."""
    platform = MemoryPlatform(spec={"replicas": 2, "server": {"workers": 2}})
    platform.settle()
    assert platform.status is not None
    before = platform.status["currentRevision"]
    platform.change(replicas=3, server={"limits": {"messagesPerSecond": 7}}, namespaces=[{"name": "chat"}])
    platform.settle()
    history = platform.status["revisionHistory"]
    assert isinstance(history, list)
    entry = history[1]
    assert isinstance(entry, dict)
    assert entry["revision"] == before
    (way,) = rollbacks(platform.cluster(), platform.spec, None)
    assert (way.revision, way.spec) == (before, {"replicas": 3, "server": {"workers": 2}})
    assert merge_patch(platform.spec, way.patch) == way.spec
    platform.spec = way.spec
    platform.generation += 1
    platform.settle()
    assert platform.status["currentRevision"] == before


def with_history(spec: JsonObject, *records: JsonObject, target: str = "now") -> RealtimeCluster:
    """Return a cluster with a spec and records named a, b, ... in its history."""
    entries: list[JsonValue] = [{"revision": name, **record} for name, record in zip("abc", records, strict=False)]
    status: JsonObject = {"targetRevision": target, "revisionHistory": entries}
    return RealtimeCluster.from_object({"metadata": {"name": "main"}, "spec": spec, "status": status})


def record(text: str) -> JsonObject:
    """Return a complete record."""
    return {"spec": text}


def ways(spec: JsonObject, *records: JsonObject, to: str | None = None) -> list[tuple[str, JsonObject]]:
    """Return revision and patch of each way back."""
    return [(way.revision, way.patch) for way in rollbacks(with_history(spec, *records), spec, to)]


def test_hooks_and_the_drains_times_are_put_back() -> None:
    """These fields make a revision; the rate of drains does not, and is kept."""
    spec: JsonObject = {
        "hooks": {"rpc": {"url": "http://a"}},
        "rollout": {"drain": {"timeout": "1m", "connectionsPerSecond": 5}},
    }
    back = ways(spec, record('{"rollout":{"drain":{"settle":"2s"}}}'))
    assert back == [("a", {"hooks": None, "rollout": {"drain": {"timeout": None, "settle": "2s"}}})]


def test_a_revision_that_was_made_of_the_same_is_no_way_back() -> None:
    """Name and form of the revision do not matter, as the patch would change nothing."""
    spec: JsonObject = {"replicas": 5, "server": {"heartbeat": {"interval": "20s"}}}
    same = record('{"server":{"heartbeat":{"interval":"20s"},"workers":1}}')
    assert ways(spec, same, record('{"server":{"workers":2}}'))[0][0] == "b"
    assert ways(spec, same) == ways(spec, same, to="a") == ways(spec) == []


def test_a_named_revision_is_chosen() -> None:
    assert [name for name, _ in ways({}, record('{"server":{"workers":2}}'), record('{"server":{"workers":3}}'))] == [
        "a", "b",
    ]  # fmt: skip
    assert ways({}, record('{"server":{"workers":2}}'), record('{"server":{"workers":3}}'), to="b") == [
        ("b", {"server": {"workers": 3}})
    ]


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"server":{"workers":"many"}}', '{"unknown":{}}'])
def test_a_record_that_cannot_be_read_is_no_way_back(text: str) -> None:
    """No partial spec is applied."""
    assert ways({"server": {"workers": 2}}, record(text)) == []


MANAGED: JsonObject = {"redis": {"managed": {"resources": {"limits": {"memory": "1Gi"}}}}}
EXTERNAL: JsonObject = {"redis": {"external": {"url": {"secretKeyRef": {"name": "mine", "key": "url"}}}}}


def test_the_managed_redis_is_not_restarted_by_going_back() -> None:
    """Settings of Redis make no revision, and a restart would end all histories."""
    now: JsonObject = {"server": {"workers": 2}, "backplane": {"redis": {"managed": {"image": "redis:8"}}}}
    assert ways(now, record(json.dumps({"backplane": MANAGED}))) == [("a", {"server": None})]


@pytest.mark.parametrize(("now", "then"), [(MANAGED, EXTERNAL), (EXTERNAL, MANAGED)], ids=["external", "managed"])
def test_going_back_to_another_redis_puts_it_back_whole(now: JsonObject, then: JsonObject) -> None:
    """The patch never leaves both, which is invalid."""
    (way,) = rollbacks(
        with_history({"backplane": now}, record(json.dumps({"backplane": then}))), {"backplane": now}, None
    )
    assert way.spec == {"backplane": then}


values = st.recursive(
    st.integers() | st.text(max_size=3) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abc"), values), st.dictionaries(st.sampled_from("abc"), values))
def test_the_patch_makes_one_document_of_another(now: JsonObject, then: JsonObject) -> None:
    """Any two objects are possible, without nulls, which RFC 7396 cannot express."""
    assert merge_patch(now, difference(now, then)) == then, json.dumps([now, then])
