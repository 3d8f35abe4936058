"""Whose an object is, and which of its fields the operator has set: pure reads of live objects."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import dig, objects_at, text_at
from realtime_operator.planning.difference import controller_uid, sets_without_apply


def is_owned(live: JsonObject, owner_uid: str) -> bool:
    """True when the controller of a live object is the cluster with this uid."""
    return bool(owner_uid) and controller_uid(live) == owner_uid


def name_taken_message(kind: str, live: JsonObject, owner_name: str) -> str:
    """Say whose the object is that has the name of a child of the cluster `owner_name`, and what to do."""
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
    """The managedFields of an object with all that the operator has set in one entry, which a server-side apply reads.

    An object that was created, and not applied, has its fields in an entry of operation Update: an apply that leaves
    one of them out would leave it in the object (as `kubectl apply --server-side` has it with what an older kubectl
    applied). None when there is nothing to merge.
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
    """Both sets of fields, as `fieldsV1` writes them: nested objects whose leaves are empty."""
    if not isinstance(left, dict) or not isinstance(right, dict):
        return left if right is None else right
    return {**left, **{key: _union(left.get(key), value) for key, value in right.items()}}
