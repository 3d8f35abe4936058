"""Comparison of live objects with their manifests, and the writes that make them equal.

A settled cluster is not written to, not even by an apply without effect: that would be an entry in the audit log, and a
request for each child at each resync.
"""

from __future__ import annotations

from collections.abc import Mapping

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import objects_at, text_at
from realtime_operator.planning.model.plan import Action, ApplyObject, CreateObject
from realtime_operator.planning.model.world import ObjectKey, object_key


def plan_write(
    manifest: JsonObject, objects: Mapping[ObjectKey, JsonObject], requires: tuple[ObjectKey, ...] = ()
) -> list[Action]:
    """Plan the creation of a missing object or the apply to a different one; empty when they are equal.

    `requires`: see CreateObject.
    """
    live = objects.get(object_key(manifest))
    if live is None:
        return [CreateObject(manifest, requires)]
    return [apply_to(live, manifest, requires)] if needs_apply(manifest, live) else []


def apply_to(live: JsonObject, manifest: JsonObject, requires: tuple[ObjectKey, ...] = ()) -> ApplyObject:
    """Return the action that applies the manifest to this live object."""
    merges_fields = any(sets_without_apply(entry) for entry in objects_at(live, "metadata", "managedFields"))
    return ApplyObject(manifest, text_at(live, "metadata", "uid"), requires, merges_fields)


def sets_without_apply(entry: JsonObject) -> bool:
    """Return True for an entry of managedFields with fields that the operator set by other operations than Apply."""
    ours = entry.get("manager") == naming.FIELD_MANAGER and not entry.get("subresource")
    return ours and entry.get("operation") != "Apply"


def needs_apply(manifest: JsonObject, live: JsonObject | None) -> bool:
    """Return True when the object is missing, its manifest has changed, or a field of the manifest was edited.

    The hash in ANNOTATION_APPLIED detects fields that the manifest no longer has, the comparison detects edits.
    """
    return live is None or not contains(live, manifest)


def contains(live: JsonValue, wanted: JsonValue) -> bool:
    """Return True when `wanted` is part of `live`: objects by key, lists item by item with equal length."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(contains(live.get(key), value) for key, value in wanted.items())
    if isinstance(wanted, list):
        return (
            isinstance(live, list)
            and len(live) == len(wanted)
            and all(contains(left, right) for left, right in zip(live, wanted, strict=True))
        )
    return type(live) is type(wanted) and live == wanted


def controller_uid(live: JsonObject) -> str | None:
    """Return the uid of the object's controller, None when it has none."""
    metadata = live.get("metadata")
    references = metadata.get("ownerReferences") if isinstance(metadata, dict) else None
    for reference in references if isinstance(references, list) else []:
        if isinstance(reference, dict) and reference.get("controller") is True:
            return str(reference.get("uid"))
    return None


def label(live: JsonObject, name: str) -> str | None:
    """Return a label of an object, None when it is not set."""
    metadata = live.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    value = labels.get(name) if isinstance(labels, dict) else None
    return value if isinstance(value, str) else None


def revision_of(live: JsonObject) -> str | None:
    """Return the revision of a ReplicaSet or ConfigMap."""
    return label(live, naming.LABEL_REVISION)
