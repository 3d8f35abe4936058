"""Building blocks of all manifests: owner reference, labels, and the hash of the applied manifest."""

from __future__ import annotations

import hashlib
import json

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster

_ALPHABET = "0123456789abcdef"
_VOWEL_FREE = str.maketrans(_ALPHABET, "bcdfghjkmnpqrtvw")
"""Alphabet of revision names: no vowels, so that they spell no words, and every name begins with a letter."""


def object_of(value: JsonValue) -> JsonObject:
    """Narrow a part of a manifest that is known to be an object."""
    assert isinstance(value, dict)
    return value


def digest(value: JsonValue) -> str:
    """Return the SHA-256 (hex) of a JSON value; the order of keys does not matter."""
    canonical = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def short_hash(value: JsonValue) -> str:
    """Return ten characters that identify a JSON value, valid in every Kubernetes name and label."""
    return digest(value)[:10].translate(_VOWEL_FREE)


def component_labels(cluster: RealtimeCluster, component: str) -> dict[str, JsonValue]:
    """Labels of an object that belongs to a part of the cluster."""
    return {**naming.cluster_labels(cluster.metadata.name), naming.LABEL_COMPONENT: component}


def component_selector(cluster: RealtimeCluster, component: str) -> JsonObject:
    """Labels that all pods of a part of the cluster have, and no others; they never change."""
    return {naming.LABEL_CLUSTER: cluster.metadata.name, naming.LABEL_COMPONENT: component}


def serving_selector(cluster: RealtimeCluster) -> JsonObject:
    """Labels of the server pods that are behind the Services."""
    return {**component_selector(cluster, naming.COMPONENT_SERVER), naming.LABEL_SERVING: "true"}


def service_port(name: str, port: int) -> JsonObject:
    """Port of a Service; the container's port has the same name."""
    return {"name": name, "port": port, "protocol": "TCP", "targetPort": name}


def metadata(
    cluster: RealtimeCluster,
    name: str,
    component: str,
    *,
    labels: dict[str, JsonValue] | None = None,
    annotations: dict[str, JsonValue] | None = None,
) -> JsonObject:
    """Build the metadata of a child: the cluster is its controller, so that it is garbage-collected with it."""
    owner: JsonObject = {
        "apiVersion": naming.API_VERSION,
        "kind": naming.KIND,
        "name": cluster.metadata.name,
        "uid": cluster.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    document: JsonObject = {
        "name": name,
        "namespace": cluster.metadata.namespace,
        "labels": {**component_labels(cluster, component), **(labels or {})},
        "ownerReferences": [owner],
    }
    if annotations:
        document["annotations"] = {**annotations}
    return document


def with_applied_hash(document: JsonObject) -> JsonObject:
    """The manifest with the hash of itself, by which a manifest that has changed is seen."""
    document_metadata = object_of(document["metadata"])
    annotations = object_of(document_metadata.get("annotations", {}))
    annotations = {**annotations, naming.ANNOTATION_APPLIED: digest(document)[:16]}
    return {**document, "metadata": {**document_metadata, "annotations": annotations}}
