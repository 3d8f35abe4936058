"""Tests of the record in an object's annotations."""

from __future__ import annotations

import json

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.builders import build_revision
from realtime_operator.builders.record import MOST_BYTES, made_of, recorded, servers_hash, with_record
from tests.kit.document import object_at, text_at
from tests.kit.manifests import SETTINGS, cluster_of


def test_a_revision_is_read_from_its_replica_set_as_it_was_applied() -> None:
    """Return the ReplicaSet with its record, and the ConfigMap."""
    revision = build_revision(cluster_of(), SETTINGS)
    assert recorded(revision.replica_set(3)) == (revision.template, revision.config_map)
    assert made_of(revision.template) == servers_hash(cluster_of())


def test_the_hash_is_of_the_spec_and_not_of_what_is_made_of_it() -> None:
    """Fields that keep the revision, and explicit defaults, do not change the hash."""
    same: list[JsonObject] = [{}, {"replicas": 7}, {"server": {"workers": 1}}]
    assert len({servers_hash(cluster_of(spec)) for spec in same}) == 1
    assert servers_hash(cluster_of({"server": {"workers": 2}})) != servers_hash(cluster_of())


def test_a_spec_with_everything_is_small_enough() -> None:
    """64 namespaces with all options, the maximum of the CRD, fit the limit of annotations, 256 KiB."""
    option: JsonObject = {
        "history": {"size": 99_999, "ttl": "719h"}, "recovery": "Cache", "presence": True, "publish": "Anyone",
        "subscribe": "Token", "presenceFor": "Anyone", "historyFor": "Nobody",
        "joinLeave": "Always", "delta": "Fossil", "personalChannel": "SingleConnection", "writeDelay": "999ms",
    }  # fmt: skip
    revision = build_revision(
        cluster_of({"namespaces": [{"name": f"{number:063}", **option} for number in range(64)]}), SETTINGS
    )
    record = text_at(revision.template, "metadata", "annotations", naming.ANNOTATION_MANIFEST)
    assert 0 < len(record.encode()) < MOST_BYTES / 2


def test_what_is_too_large_is_not_kept() -> None:
    """The object is applied without the record."""
    manifest: JsonObject = {"apiVersion": "v1", "kind": "A", "metadata": {"name": "a"}, "data": "x" * MOST_BYTES}
    made = with_record(manifest, "hash", SETTINGS)
    assert recorded(made) is None
    assert made_of(made) == "hash"


@pytest.mark.parametrize("path", [("metadata", "name"), ("spec", "replicas"), ("metadata", "annotations", "new")])
def test_a_record_whose_seal_is_broken_is_none(path: tuple[str, ...]) -> None:
    """An edited record is not used."""
    template = build_revision(cluster_of(), SETTINGS).template
    annotations = object_at(template, "metadata", "annotations")
    own, beside = json.loads(text_at(annotations, naming.ANNOTATION_MANIFEST))
    parent = own
    for part in path[:-1]:
        parent = parent[part]
    parent[path[-1]] = "edited"
    annotations[naming.ANNOTATION_MANIFEST] = json.dumps([own, beside])
    assert recorded(template) is None
