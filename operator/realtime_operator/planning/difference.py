"""Does a live object still say what its manifest says? Decides whether an apply is needed at all.

A settled cluster must not be written to, not even by an apply that changes nothing: it would be a write in the audit
log, and one request for each child at each resync.
"""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue


def needs_apply(manifest: JsonObject, live: JsonObject | None) -> bool:
    """Whether to apply: the object is missing, the manifest has changed, or somebody changed a field that it names.

    The hash in ANNOTATION_APPLIED catches a field that the manifest no longer names; the comparison catches edits.
    """
    return live is None or not contains(live, manifest)


def contains(live: JsonValue, wanted: JsonValue) -> bool:
    """Whether `wanted` is part of `live`: objects by key, lists item by item with the same length, the rest equal."""
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
    """The uid of the object's controller, None when it has none."""
    metadata = live.get("metadata")
    references = metadata.get("ownerReferences") if isinstance(metadata, dict) else None
    for reference in references if isinstance(references, list) else []:
        if isinstance(reference, dict) and reference.get("controller") is True:
            return str(reference.get("uid"))
    return None


def label(live: JsonObject, name: str) -> str | None:
    """One label of an object, None when it is not set."""
    metadata = live.get("metadata")
    labels = metadata.get("labels") if isinstance(metadata, dict) else None
    value = labels.get(name) if isinstance(labels, dict) else None
    return value if isinstance(value, str) else None


def revision_of(live: JsonObject) -> str | None:
    """The revision that a ReplicaSet or ConfigMap belongs to."""
    return label(live, naming.LABEL_REVISION)
