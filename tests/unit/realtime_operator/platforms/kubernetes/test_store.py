"""Tests of the store, with events in any order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hypothesis import given
from hypothesis import strategies as st

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.platforms.base import Key
from realtime_operator.platforms.kubernetes.store import CATCH_UP_SECONDS, GAP_SECONDS, ObjectStore, Part, slim
from tests.unit.realtime_operator.platforms.kubernetes.hand_clock import HandClock

CLUSTERS = Part(naming.API_VERSION, naming.KIND)
MAPS = Part("v1", "ConfigMap")
MAIN = Key("team", "main")


@dataclass
class Stored:
    """A store of two parts, its clock, and its reported changes."""

    clock: HandClock = field(default_factory=lambda: HandClock(1000.0))
    changes: list[tuple[Key, bool]] = field(default_factory=list)
    store: ObjectStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = ObjectStore((CLUSTERS, MAPS), lambda key, edited: self.changes.append((key, edited)), self.clock)

    def listed(self, part: Part, *uids: str, version: int = 100) -> None:
        """Report a complete list that was requested now."""
        self.store.listed(part, uids, version, self.clock())

    def versions(self, key: Key = MAIN) -> dict[str, str]:
        """Return name and data of each child."""
        return {str(_metadata(item)["name"]): str(item.get("data")) for item in self.store.children(key)}


def _metadata(document: JsonObject) -> JsonObject:
    metadata = document["metadata"]
    assert isinstance(metadata, dict)
    return metadata


def config_map(version: int, *, uid: str = "u", name: str = "one", cluster: str | None = "main") -> JsonObject:
    """Return a ConfigMap whose data has its version."""
    labels: JsonObject = {} if cluster is None else {naming.LABEL_CLUSTER: cluster}
    metadata: JsonObject = {
        "name": name, "namespace": "team", "uid": uid, "resourceVersion": str(version), "labels": labels,
    }  # fmt: skip
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": str(version)}


def realtime_cluster(version: int, generation: int = 1, **metadata: JsonValue) -> JsonObject:
    """Return a RealtimeCluster `main`."""
    own: JsonObject = {
        "name": "main", "namespace": "team", "uid": "c", "resourceVersion": str(version), "generation": generation,
    }  # fmt: skip
    return {"apiVersion": naming.API_VERSION, "kind": naming.KIND, "metadata": {**own, **metadata}}


def test_the_newer_version_stays() -> None:
    """An older version that comes later is ignored, and an equal one reports no change."""
    stored = Stored()
    for version in (9, 10, 9, 10, 2):
        stored.store.put(config_map(version))
    assert stored.versions() == {"one": "10"}
    assert stored.changes == [(MAIN, False), (MAIN, False)], "9 and 10"


def test_what_is_gone_does_not_come_back_with_a_late_answer() -> None:
    """The answer to a write may arrive after the watch has reported the deletion."""
    stored = Stored()
    stored.store.put(config_map(5))
    stored.store.gone(config_map(7))
    stored.store.put(config_map(6))
    assert stored.versions() == {}
    stored.store.put(config_map(8, uid="another"))
    assert stored.versions() == {"one": "8"}


def test_the_late_end_of_a_namesake_spares_its_successor() -> None:
    stored = Stored()
    stored.store.put(config_map(5, uid="old"))
    stored.store.put(config_map(9, uid="new"))
    stored.store.gone(config_map(7, uid="old"))
    assert stored.versions() == {"one": "9"}


def test_what_this_process_has_deleted_stays_deleted() -> None:
    """A watch's events of any version do not restore the object."""
    stored = Stored()
    stored.store.put(config_map(5))
    stored.store.deleted(config_map(0))
    stored.store.put(config_map(6))
    assert stored.versions() == {}
    assert stored.changes[-1] == (MAIN, False)


def test_an_object_that_loses_the_label_is_not_a_child_and_may_become_one_again() -> None:
    """An object loses the label by an answer without it, or by the deletion that a watch with a selector reports."""
    stored = Stored()
    stored.store.put(config_map(5))
    stored.store.put(config_map(6, cluster=None))
    assert stored.versions() == {}
    stored.store.put(config_map(7))
    assert stored.versions() == {"one": "7"}
    stored.store.gone(config_map(8))
    stored.store.put(config_map(9))
    assert stored.versions() == {"one": "9"}


def test_an_object_may_change_its_cluster() -> None:
    """Both clusters are reported as changed."""
    stored = Stored()
    stored.store.put(config_map(5))
    stored.store.put(config_map(6, cluster="other"))
    assert stored.versions() == {}
    assert stored.versions(Key("team", "other")) == {"one": "6"}


def test_what_a_list_does_not_have_is_gone() -> None:
    """After a long gap a watch reports no deletions; objects newer than the list are kept."""
    stored = Stored()
    for number, version in enumerate((50, 60, 101)):
        stored.store.put(config_map(version, uid=f"u{number}", name=f"n{number}"))
    stored.store.put(realtime_cluster(40))
    stored.listed(MAPS, "u1")
    assert stored.versions() == {"n1": "60", "n2": "101"}
    assert stored.store.cluster(MAIN) is not None, "another kind"


def test_a_list_of_one_namespace_says_nothing_about_others() -> None:
    here, there = Part("v1", "ConfigMap", "team"), Part("v1", "ConfigMap", "else")
    store = ObjectStore((here, there))
    store.put(config_map(5))
    store.listed(there, (), 100, 0.0)
    assert len(store.children(MAIN)) == 1
    assert not store.complete.is_set()
    store.listed(here, (), 100, 0.0)
    assert store.children(MAIN) == []
    assert store.complete.is_set()


def test_it_is_complete_when_every_part_was_listed() -> None:
    """A restart of watching makes it incomplete again."""
    stored = Stored()
    assert stored.store.missing() == [CLUSTERS, MAPS]
    stored.listed(CLUSTERS)
    assert not stored.store.complete.is_set()
    stored.listed(MAPS)
    assert stored.store.complete.is_set()
    stored.store.restart()
    assert (stored.store.complete.is_set(), stored.store.missing()) == (False, [CLUSTERS, MAPS])


def test_a_change_of_the_spec_is_told_apart_from_that_of_the_status() -> None:
    stored = Stored()
    stored.store.put(realtime_cluster(1, generation=1))
    stored.store.put(realtime_cluster(2, generation=1))
    assert stored.changes == [(MAIN, True)]
    stored.store.put(realtime_cluster(3, generation=2))
    stored.store.put(realtime_cluster(4, generation=2, deletionTimestamp="2026-01-01T00:00:00Z"))
    stored.store.gone(realtime_cluster(5, generation=2))
    assert stored.changes == [(MAIN, True)] * 4
    assert stored.store.cluster(MAIN) is None


def opened(stored: Stored, is_open: Callable[[], bool]) -> None:
    for part in (CLUSTERS, MAPS):
        stored.listed(part)
        stored.store.watching(part, is_open)


def test_it_is_fresh_while_every_watch_is_open() -> None:
    """The store is fresh from the lists on."""
    stored = Stored()
    opened(stored, lambda: True)
    for _ in range(3):
        assert stored.store.known_until() == stored.clock.now
        stored.clock.now += 10


def test_it_is_stale_before_anything_was_listed() -> None:
    stored = Stored()
    assert stored.store.known_until() == 0


def test_a_watch_that_has_ended_makes_it_stale_since_it_was_last_seen_open() -> None:
    """The store is fresh again when the next watch is open and has caught up; one broken watch is enough."""
    stored = Stored()
    links = {CLUSTERS: True, MAPS: True}
    for part in (CLUSTERS, MAPS):
        stored.listed(part)
        stored.store.watching(part, lambda part=part: links[part])  # type: ignore[misc] # the loop's part
    stored.clock.now = 1010.0
    assert stored.store.known_until() == 1010.0
    links[MAPS] = False
    stored.clock.now = 1020.0
    assert stored.store.known_until() == 1010.0
    links[MAPS] = True
    stored.store.watching(MAPS, lambda: True)
    assert stored.store.known_until() == 1010.0, "it has not caught up"
    stored.clock.now = 1020.0 + CATCH_UP_SECONDS
    assert stored.store.known_until() == stored.clock.now


def test_a_watch_that_the_next_one_follows_at_once_makes_nothing_stale() -> None:
    """The API server ends each watch every few minutes."""
    stored = Stored()
    link = [True]
    opened(stored, lambda: link[0])
    stored.clock.now += 100
    stored.store.known_until()
    link[0] = False
    stored.clock.now += GAP_SECONDS
    assert stored.store.known_until() == stored.clock.now
    for part in (CLUSTERS, MAPS):
        stored.store.watching(part, lambda: True)
    stored.clock.now += 0.1
    assert stored.store.known_until() == stored.clock.now


def test_a_new_list_makes_it_as_fresh_as_the_list() -> None:
    """After a long gap everything is listed again."""
    stored = Stored()
    opened(stored, lambda: False)
    stored.clock.now += 100
    opened(stored, lambda: True)
    assert stored.store.known_until() == stored.clock.now


def test_what_no_decision_needs_is_not_kept() -> None:
    """The managedFields of all objects, and most of a pod, are dropped."""
    pod: JsonObject = {
        "kind": "Pod",
        "metadata": {"name": "a", "managedFields": [{}]},
        "spec": {"nodeName": "n", "volumes": [{}], "containers": [{"name": "c", "image": "i", "env": [{}]}]},
        "status": {"podIP": "10.0.0.1"},
    }
    assert slim(pod) == {
        "kind": "Pod",
        "metadata": {"name": "a"},
        "spec": {"nodeName": "n", "containers": [{"name": "c", "image": "i"}]},
        "status": {"podIP": "10.0.0.1"},
    }


def test_fields_that_were_set_without_an_apply_leave_a_mark() -> None:
    """An apply has to merge them; the fields themselves are read then."""
    ours: JsonObject = {"manager": naming.FIELD_MANAGER, "operation": "Update"}
    theirs: JsonObject = {"manager": "kubectl", "operation": "Update", "fieldsV1": {}}
    status: JsonObject = {**ours, "subresource": "status"}
    applied: JsonObject = {**ours, "operation": "Apply", "fieldsV1": {"f:data": {}}}
    entries: list[JsonValue] = [{**ours, "fieldsV1": {"f:data": {}}}, theirs, status, applied]
    made: JsonObject = {"kind": "ConfigMap", "metadata": {"name": "a", "managedFields": entries}}
    assert slim(made)["metadata"] == {"name": "a", "managedFields": [ours]}


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[tuple[str, JsonObject]], JsonObject | None]:
    """Return the events of objects of one name with increasing versions, and the final state."""
    events: list[tuple[str, JsonObject]] = []
    version, life, present = 1, 0, None
    for step in draw(st.lists(st.sampled_from(("write", "delete")), max_size=12)):
        version += 1
        if step == "write":
            life += present is None
            present = config_map(version, uid=f"u{life}")
            events.append(("put", present))
        elif present is not None:
            events.append(("gone", config_map(version, uid=f"u{life}")))
            present = None
    return events, present


@given(histories(), st.randoms(use_true_random=False))
def test_answers_that_overtake_or_lag_behind_the_watch_change_nothing_in_the_end(
    history: tuple[list[tuple[str, JsonObject]], JsonObject | None], chance: st.DataObject
) -> None:
    """The watch reports all in order; answers to writes come at any time, in any order, repeatedly."""
    events, present = history
    shuffle = chance.choice  # type: ignore[attr-defined] # random.Random
    stored = Stored()
    answers = [document for kind, document in events if kind == "put"]
    latest = 0
    for kind, document in events:
        for _ in range(2):
            if answers:
                stored.store.put(shuffle(answers))
        stored.store.put(document) if kind == "put" else stored.store.gone(document)
        for item in stored.store.children(MAIN):
            version = int(str(item["data"]))
            assert version >= latest
            latest = version
    for document in answers:
        stored.store.put(document)
    assert [item["data"] for item in stored.store.children(MAIN)] == ([] if present is None else [present["data"]])


def test_a_kind_that_is_watched_no_more_has_no_objects() -> None:
    """Its objects are dropped, and every cluster counts as changed; equal kinds change nothing."""
    stored = Stored()
    stored.store.put(realtime_cluster(1))
    stored.store.put(config_map(2))
    stored.changes.clear()
    stored.store.watch((CLUSTERS, MAPS), {})
    assert (stored.versions(), stored.changes) == ({"one": "2"}, [])
    stored.store.watch((CLUSTERS,), {})
    assert (stored.versions(), stored.changes) == ({}, [(MAIN, False)])
    stored.store.restart()
    stored.listed(CLUSTERS, "c")
    assert stored.store.complete.is_set(), "it does not wait for a list of the other kind"
    assert stored.store.known_until() == stored.clock()
    stored.store.put(config_map(3))
    stored.changes.clear()
    stored.store.watch((CLUSTERS,), {("v1", "ConfigMap"): "list in all namespaces"})
    assert stored.changes == [(MAIN, False)], "the message to the cluster is another one"


def test_a_kind_that_is_watched_since_makes_the_store_incomplete() -> None:
    """Every cluster counts as changed, and the store is complete again with the list of the new kind."""
    stored = Stored()
    stored.store.put(realtime_cluster(1))
    stored.changes.clear()
    pods = Part("v1", "Pod")
    stored.store.watch((CLUSTERS, MAPS, pods), {})
    stored.store.restart()
    assert stored.changes == [(MAIN, False)]
    assert stored.store.kinds() == {(part.api_version, part.kind) for part in (CLUSTERS, MAPS, pods)}
    for part in (CLUSTERS, MAPS):
        stored.listed(part, "c")
    assert stored.store.missing() == [pods]
    stored.listed(pods)
    assert stored.store.complete.is_set()
