"""Annotations of an object that record the spec and the manifests it was made from.

A later operator reads from them whether the object still matches the spec, and which manifests were applied, so that it
repairs the object instead of replacing it.
"""

from __future__ import annotations

import json

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import dig, object_at, text_at
from realtime_operator.api.revision_part import differing_part
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_managed_redis import ManagedRedis
from realtime_operator.builders.manifest import digest, with_applied_hash
from realtime_operator.builders.settings import BuildSettings

MOST_BYTES = 200_000
"""Upper bound of the recorded manifests; larger ones are not recorded, as all annotations may have 256 KiB at most."""


def servers_hash(cluster: RealtimeCluster) -> str:
    """Return the hash of the part of the spec that makes a revision, independent of the operator's release."""
    return digest(differing_part(cluster.spec))[:16]


def redis_hash(managed: ManagedRedis, password_checksum: str = "") -> str:
    """Return the hash of the spec that the managed Redis is made from.

    Those of earlier releases, which are replaced when their password changes, were made from its checksum too.
    """
    return digest([differing_part(managed, whole=True), password_checksum])[:16]


def with_record(
    manifest: JsonObject, made_of: str, settings: BuildSettings, beside: tuple[JsonObject, ...] = ()
) -> JsonObject:
    """Add the applied hash and the record: `made_of`, the release, and the manifests (its own and `beside`)."""
    made = _annotated(
        manifest, {naming.ANNOTATION_SPEC: made_of, naming.ANNOTATION_OPERATOR_VERSION: settings.operator_version}
    )
    made = with_applied_hash(made)
    return _with_text(made, json.dumps([made, *beside], separators=(",", ":"), ensure_ascii=False))


def recorded(live: JsonObject) -> tuple[JsonObject, ...] | None:
    """Return the manifests that a live object records: its own as it was applied, and those beside it.

    None when there are none, or when they cannot be trusted: the seal is broken, or they belong to other objects.
    """
    text = text_at(live, "metadata", "annotations", naming.ANNOTATION_MANIFEST)
    try:
        manifests = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(manifests, list) or not manifests or not all(isinstance(item, dict) for item in manifests):
        return None
    own, *beside = manifests
    if _identity(own) != _identity(live) or not _has_applied_hash(own):
        return None
    if any(
        _identity(item) != ("v1", "ConfigMap", *_identity(live)[2:]) or not _has_applied_hash(item) for item in beside
    ):
        return None
    return (_with_text(own, text), *beside)


def made_of(live: JsonObject) -> str:
    """Return the recorded hash of what an object was made from; empty for objects of releases without records."""
    return text_at(live, "metadata", "annotations", naming.ANNOTATION_SPEC)


def _with_text(manifest: JsonObject, text: str) -> JsonObject:
    return manifest if len(text.encode()) > MOST_BYTES else _annotated(manifest, {naming.ANNOTATION_MANIFEST: text})


def _annotated(manifest: JsonObject, annotations: JsonObject) -> JsonObject:
    metadata = object_at(manifest, "metadata")
    return {
        **manifest, "metadata": {**metadata, "annotations": {**object_at(metadata, "annotations"), **annotations}},
    }  # fmt: skip


def _has_applied_hash(manifest: JsonObject) -> bool:
    metadata = object_at(manifest, "metadata")
    annotations = {
        key: value for key, value in object_at(metadata, "annotations").items() if key != naming.ANNOTATION_APPLIED
    }
    bare: JsonObject = {key: value for key, value in metadata.items() if key != "annotations"}
    if annotations:
        bare["annotations"] = annotations
    return with_applied_hash({**manifest, "metadata": bare}) == manifest


def _identity(document: JsonObject) -> tuple[JsonValue, JsonValue, JsonValue, JsonValue]:
    name, namespace = (dig(document, "metadata", part) for part in ("name", "namespace"))
    return document.get("apiVersion"), document.get("kind"), name, namespace
