"""Ownership of live objects, and of their fields. Pure."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import dig, objects_at, text_at
from realtime_operator.planning.model.difference import controller_uid, sets_without_apply


def is_owned(live: JsonObject, owner_uid: str) -> bool:
    """Return True when the cluster with this uid is the controller of a live object."""
    return bool(owner_uid) and controller_uid(live) == owner_uid


def name_taken_message(kind: str, live: JsonObject, owner_name: str) -> str:
    """Describe whose object has the name of a child of the cluster `owner_name`, and what to do about it."""
    name = text_at(live, "metadata", "name")
    controller = next((r for r in objects_at(live, "metadata", "ownerReferences") if r.get("controller") is True), None)
    if controller is None:
        whose = "does not belong to this cluster"
        advice = f"Delete or rename it, or name the cluster other than {owner_name}"
    else:
        whose = f"belongs to {controller.get('kind')} {controller.get('name')}"
        advice = f"Name one of the two differently, or remove {kind} {name} with its owner"
        if controller.get("kind") == naming.KIND and controller.get("name") == owner_name:
            whose, advice = "is left from a former cluster of this name", "It goes by itself as soon as it is collected"
    return f"{kind} {name} exists and {whose}: it is left alone. {advice}"


def claims_to_merge(live: JsonObject) -> list[JsonValue] | None:
    """Return managedFields with all fields that the operator has set in one entry of operation Apply.

    Fields of a created object are in an entry of operation Update; a later apply that omits one of them would leave it
    in the object, as with `kubectl apply --server-side` after an old client-side apply. None when nothing is to be
    merged.
    """
    entries = objects_at(live, "metadata", "managedFields")
    ours = [e for e in entries if e.get("manager") == naming.FIELD_MANAGER and not e.get("subresource")]
    if not any(sets_without_apply(entry) for entry in ours):
        return None
    fields: JsonValue = {}
    for entry in ours:
        fields = _union(fields, dig(entry, "fieldsV1"))
    others = [entry for entry in entries if entry not in ours]
    return [*others, {**ours[0], "operation": "Apply", "fieldsV1": fields}]


def _union(left: JsonValue, right: JsonValue) -> JsonValue:
    """Return the union of two sets of fields in the format of `fieldsV1`: nested objects with empty leaves."""
    if not isinstance(left, dict) or not isinstance(right, dict):
        return left if right is None else right
    return {**left, **{key: _union(left.get(key), value) for key, value in right.items()}}
