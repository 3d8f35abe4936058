"""Tests of labels and annotations of every object."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1_metadata import CommonMetadata
from realtime_operator.builders.common_metadata import with_common_metadata
from realtime_operator.builders.record import recorded
from tests.kit.document import object_at
from tests.kit.manifests import cluster_of, render

LABELS = {"team": "chat"}
SPEC: JsonObject = {"commonMetadata": {"labels": {**LABELS}, "annotations": {"example.com/owner": "a"}}}


def test_every_object_has_them() -> None:
    """The operator's own ones stay, and pods are left alone."""
    for manifest, bare in zip(render(cluster_of(SPEC)), render(cluster_of()), strict=True):
        metadata, before = object_at(manifest, "metadata"), object_at(bare, "metadata")
        assert metadata["labels"] == {**LABELS, **object_at(before, "labels")}
        assert object_at(metadata, "annotations")["example.com/owner"] == "a"
        assert object_at(manifest, "spec").get("template") == object_at(bare, "spec").get("template")


def test_a_change_is_seen_and_the_record_is_not_touched() -> None:
    """The applied hash differs with each of them; the recorded manifest is still believed."""
    replica_set = next(manifest for manifest in render(cluster_of()) if manifest["kind"] == "ReplicaSet")
    marked = [
        with_common_metadata(replica_set, common)
        for common in (CommonMetadata(), CommonMetadata(labels={"a": "b"}), CommonMetadata(annotations={"a": "b"}))
    ]
    seals = {object_at(manifest, "metadata", "annotations")[naming.ANNOTATION_APPLIED] for manifest in marked}
    assert len(seals) == 3
    assert recorded(marked[1]) == recorded(replica_set) is not None


def test_what_is_kept_as_it_is_gets_none() -> None:
    """A manifest without an applied hash would take all other fields from its object."""
    bare: JsonObject = {"metadata": {"name": "a"}, "spec": {}}
    assert with_common_metadata(bare, CommonMetadata(labels={"a": "b"})) == bare
