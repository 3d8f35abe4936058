"""The revisions that were rolled out, and the way back."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.planning.history import KEPT, difference, patch_to, recorded
from realtime_operator.platforms.local.control_server import merge_patch
from tests.kit.document import parse
from tests.unit.realtime_operator.planning.memory_platform import MemoryPlatform

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def cluster(**spec: JsonValue) -> RealtimeCluster:
    """A cluster with a spec."""
    return RealtimeCluster.from_object({"metadata": {"name": "main"}, "spec": spec})


def test_a_revision_is_recorded_once_it_serves_as_a_whole() -> None:
    """Not before, and not twice."""
    assert recorded(cluster(), None, None, "a", NOW) == []
    first = recorded(cluster(server={"workers": 2}, replicas=3), None, "a", "a", NOW)
    assert first == [{"revision": "a", "completedAt": "2026-01-01T00:00:00Z", "spec": '{"server":{"workers":2}}'}]
    assert recorded(cluster(), first, "a", "a", NOW) == first
    assert recorded(cluster(), first, "a", "b", NOW) == first
    assert [e["revision"] for e in recorded(cluster(), first, "b", "b", NOW) if isinstance(e, dict)] == ["b", "a"]


def test_a_revision_that_comes_back_is_first_again() -> None:
    """It is in the history once."""
    kept: list[JsonValue] = []
    for revision in ("a", "b", "a"):
        kept = recorded(cluster(), kept, revision, revision, NOW)
    assert [e["revision"] for e in kept if isinstance(e, dict)] == ["a", "b"]


def test_the_history_is_short() -> None:
    """The oldest is forgotten."""
    kept: list[JsonValue] = []
    for number in range(KEPT + 3):
        kept = recorded(cluster(), kept, f"r{number}", f"r{number}", NOW)
    assert len(kept) == KEPT


def test_going_back_makes_the_old_revision_and_leaves_the_rest() -> None:
    """After a change of the server, `undo` asks for the former revision; the number of servers stays as it is now."""
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
    patched = merge_patch(platform.spec, patch_to(platform.spec, parse(str(entry["spec"]))))
    assert patched == {"replicas": 3, "server": {"workers": 2}}
    platform.spec = patched
    platform.generation += 1
    platform.settle()
    assert platform.status["currentRevision"] == before


values = st.recursive(
    st.integers() | st.text(max_size=3) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from("abc"), values), st.dictionaries(st.sampled_from("abc"), values))
def test_the_patch_makes_one_document_of_another(now: JsonObject, then: JsonObject) -> None:
    """For any two objects without nulls (RFC 7396 has no way to say null)."""
    assert merge_patch(now, difference(now, then)) == then, json.dumps([now, then])
