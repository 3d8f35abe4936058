"""Tests of the object store."""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import object_at
from realtime_operator.planning.model.plan import EmitEvent, EventType
from realtime_operator.planning.model.world import ObjectKey
from realtime_operator.platforms.local.object_store import KEPT_EVENTS, ObjectStore


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path)


def manifest(kind: str, name: str, **fields: object) -> JsonObject:
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name}, **fields}  # type: ignore[dict-item] # JSON


def test_the_generation_counts_changes_of_the_spec(store: ObjectStore) -> None:
    """An equal spec and a status do not change the generation; the uid is kept."""
    store.set_cluster("chat", {"replicas": 1})
    assert store.cluster is not None
    uid = object_at(store.cluster, "metadata")["uid"]
    store.set_cluster("chat", {"replicas": 1})
    store.set_status({"phase": "Ready"})
    assert object_at(store.cluster, "metadata")["generation"] == 1
    store.set_cluster("chat", {"replicas": 2})
    metadata = object_at(store.cluster, "metadata")
    assert (metadata["generation"], metadata["uid"]) == (2, uid)
    assert store.cluster["status"] == {"phase": "Ready"}


def test_secrets_are_made_once_and_survive(store: ObjectStore, tmp_path: Path) -> None:
    """Existing keys keep their value, also for the next store; only their owner may read the files."""
    store.ensure_secret(manifest("Secret", "keys"), ("a",))
    first = store.secret("keys")["a"]
    later = ObjectStore(tmp_path)
    later.ensure_secret(manifest("Secret", "keys"), ("a", "b"))
    assert later.secret("keys")["a"] == first
    assert len(later.secret("keys")["b"]) >= 32
    assert stat.S_IMODE((tmp_path / "keys" / "a").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "keys").stat().st_mode) == 0o700
    assert later.secret_hashes("keys")["a"] != first


def test_a_value_is_kept_as_it_is(store: ObjectStore) -> None:
    """Values are kept byte by byte, line ends included."""
    value = "é\r\nline\r\n\n"
    store.put_secret("keys", {"a": value})
    assert store.secret("keys") == {"a": value}
    assert store.secret_hashes("keys") == {"a": hashlib.sha256(value.encode()).hexdigest()}


def test_a_value_is_replaced_in_one_step(store: ObjectStore, tmp_path: Path) -> None:
    """Readers see the old or the new value, and a killed writer leaves no partial one."""
    store.put_secret("keys", {"a": "old"})
    with (tmp_path / "keys" / "a").open() as reading:
        store.put_secret("keys", {"a": "new"})
        assert reading.read() == "old"
    (tmp_path / ".new").write_text("left by one that was killed")
    store.put_secret("keys", {"b": "other"})
    assert store.secret("keys") == {"a": "new", "b": "other"}
    assert [path.name for path in tmp_path.iterdir()] == ["keys"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../keys", "A", "a" * 254, "a\0"])
def test_a_name_that_is_none_has_no_values(store: ObjectStore, name: str) -> None:
    store.put_secret("keys", {"a": "b"})
    assert store.secret(name) == {}


def test_objects_are_applied_scaled_and_deleted(store: ObjectStore) -> None:
    """Fields that a manifest lacks are kept; scaling of a missing ReplicaSet has no effect."""
    replica_set = ObjectKey("apps/v1", "ReplicaSet", "chat-a")
    store.apply({**manifest("ReplicaSet", "chat-a", spec={"replicas": 1}), "apiVersion": "apps/v1", "status": {"x": 1}})
    store.apply({**manifest("ReplicaSet", "chat-a", spec={"replicas": 1}), "apiVersion": "apps/v1"})
    store.scale("chat-a", 3)
    store.scale("none", 3)
    assert store.objects[replica_set]["spec"] == {"replicas": 3}
    assert store.objects[replica_set]["status"] == {"x": 1}
    store.delete(replica_set)
    store.delete(replica_set)
    assert store.objects == {}


def test_values_of_a_deleted_secret_are_gone(store: ObjectStore) -> None:
    store.ensure_secret(manifest("Secret", "keys"), ("a",))
    store.delete(ObjectKey("v1", "Secret", "keys"))
    assert store.secret("keys") == {}


def test_the_latest_events_are_kept(store: ObjectStore) -> None:
    """Events are in order, and their number is bounded."""
    for number in range(KEPT_EVENTS + 1):
        store.record_event(EmitEvent(EventType.NORMAL, "Reason", f"message {number}"))
    assert len(store.events) == KEPT_EVENTS
    assert store.events[-1].message == f"message {KEPT_EVENTS}"
    assert store.events[-1].to_object()["type"] == "Normal"
