"""Record of what an object was made from, carried in its annotations.

A later operator reads there whether the object is still what the spec asks for, and what was applied, so that it can
repair the object without making another one.
"""

from __future__ import annotations

import json

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import dig, object_at, text_at
from realtime_operator.api.revision_part import differing_part
from realtime_operator.api.v1alpha1 import ManagedRedis, RealtimeCluster
from realtime_operator.builders.manifest import digest, with_applied_hash
from realtime_operator.builders.settings import BuildSettings

MOST_BYTES = 200_000
"""Of the manifests in an annotation; all annotations of an object have at most 256 KiB. Larger ones are not kept."""


def servers_hash(cluster: RealtimeCluster) -> str:
    """The hash of what the spec says that makes a revision, whatever the release makes of it."""
    return digest(differing_part(cluster.spec))[:16]


def redis_hash(managed: ManagedRedis, password_checksum: str) -> str:
    """The same of what makes the managed Redis."""
    return digest([differing_part(managed), password_checksum])[:16]


def with_record(
    manifest: JsonObject, made_of: str, settings: BuildSettings, beside: tuple[JsonObject, ...] = ()
) -> JsonObject:
    """Add the applied hash, and the record of what the manifest was made of, of itself and of those beside it."""
    made = _annotated(
        manifest, {naming.ANNOTATION_SPEC: made_of, naming.ANNOTATION_OPERATOR_VERSION: settings.operator_version}
    )
    made = with_applied_hash(made)
    return _with_text(made, json.dumps([made, *beside], separators=(",", ":"), ensure_ascii=False))


def recorded(live: JsonObject) -> tuple[JsonObject, ...] | None:
    """The manifests that a live object carries: its own as it was applied, and those beside it.

    None when there are none, or when they are not the operator's: the seal is broken, or they are of other objects.
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
    """The hash that an object carries of what it was made of; empty when it was made by a release without records."""
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
