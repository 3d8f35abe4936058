"""Tests of the building blocks of manifests."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.builders.manifest import digest, metadata, short_hash, with_applied_hash
from tests.kit.document import dig, object_at, objects_at
from tests.kit.manifests import UID, cluster_of


def test_a_child_is_owned_by_its_cluster() -> None:
    """The owner reference makes the garbage collector delete the child, even while no operator runs."""
    (owner,) = objects_at(metadata(cluster_of(), "child", "server"), "ownerReferences")
    assert owner == {
        "apiVersion": "realtime.dev/v1alpha1",
        "kind": "RealtimeCluster",
        "name": "chat",
        "uid": UID,
        "controller": True,
        "blockOwnerDeletion": False,
    }


def test_a_child_is_found_by_its_labels() -> None:
    """Selectors have the cluster and the component."""
    labels = object_at(metadata(cluster_of(), "child", "redis"), "labels")
    assert labels[naming.LABEL_CLUSTER] == "chat"
    assert labels[naming.LABEL_COMPONENT] == "redis"


def test_the_seal_changes_with_the_manifest_and_not_with_itself() -> None:
    """The hash is computed from the manifest without the annotation."""
    manifest: JsonObject = {"metadata": {"name": "a"}, "spec": {"x": 1}}
    seal = dig(with_applied_hash(manifest), "metadata", "annotations", naming.ANNOTATION_APPLIED)
    other = dig(with_applied_hash({**manifest, "spec": {"x": 2}}), "metadata", "annotations", naming.ANNOTATION_APPLIED)
    assert seal == digest(manifest)[:16]
    assert seal != other


def test_sealing_keeps_other_annotations() -> None:
    manifest: JsonObject = {"metadata": {"name": "a", "annotations": {"b": "c"}}}
    assert object_at(with_applied_hash(manifest), "metadata", "annotations")["b"] == "c"


def test_the_order_of_keys_does_not_matter() -> None:
    """Equal values have equal hashes, whatever the order of keys."""
    assert digest({"a": 1, "b": [2]}) == digest({"b": [2], "a": 1})


@given(st.dictionaries(st.text(), st.integers()))
def test_a_short_hash_is_legal_everywhere(value: dict[str, int]) -> None:
    """A short hash is valid in names and labels, and has no vowels."""
    assert re.fullmatch("[bcdfghjkmnpqrtvw]{10}", short_hash({**value}))
