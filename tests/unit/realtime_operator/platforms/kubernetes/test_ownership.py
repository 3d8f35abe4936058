"""Tests of ownership of objects, and of merging managedFields."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.platforms.kubernetes.ownership import claims_to_merge, is_owned, name_taken_message


def live(*managers: JsonObject, owner: JsonObject | None = None) -> JsonObject:
    """Return a live object."""
    owners = [owner] if owner else []
    return {"metadata": {"name": "shop", "managedFields": [*managers], "ownerReferences": [*owners]}}


def entry(operation: str, fields: JsonObject | None = None, manager: str = naming.FIELD_MANAGER) -> JsonObject:
    """Return an entry of managedFields."""
    return {"manager": manager, "operation": operation, "fieldsV1": fields or {}}


def test_an_object_is_owned_by_its_controller_alone() -> None:
    """Another owner, or another object of the same name, does not count; an empty uid owns nothing."""
    owner: JsonObject = {"kind": "RealtimeCluster", "name": "shop", "uid": "1", "controller": True}
    assert is_owned(live(owner=owner), "1")
    assert not is_owned(live(owner=owner), "2")
    assert not is_owned(live(owner={**owner, "controller": False}), "1")
    assert not is_owned(live(), "")


def test_the_message_says_whose_the_object_is() -> None:
    """The owner is nobody, another controller, or a former cluster of the same name."""
    assert "does not belong to this cluster" in name_taken_message("Service", live(), "shop")
    other: JsonObject = {"kind": "Deployment", "name": "web", "uid": "1", "controller": True}
    assert "belongs to Deployment web" in name_taken_message("Service", live(owner=other), "shop")
    former: JsonObject = {"kind": naming.KIND, "name": "shop", "uid": "1", "controller": True}
    assert "is left from a former cluster of this name" in name_taken_message("Service", live(owner=former), "shop")


def test_what_was_created_is_claimed_by_the_apply() -> None:
    """The fields of both entries are in one; entries of others and of the status are kept."""
    theirs = entry("Update", {"f:spec": {"f:type": {}}}, "kubectl")
    status: JsonObject = {**entry("Update"), "subresource": "status"}
    created = entry("Update", {"f:spec": {"f:ports": {}, "f:selector": {}}})
    applied = entry("Apply", {"f:spec": {"f:ports": {}}, "f:metadata": {}})
    merged = claims_to_merge(live(theirs, created, status, applied))
    assert merged == [
        theirs,
        status,
        entry("Apply", {"f:spec": {"f:ports": {}, "f:selector": {}}, "f:metadata": {}}),
    ]


def test_what_was_only_applied_needs_no_merge() -> None:
    assert claims_to_merge(live(entry("Apply"), entry("Update", None, "kubectl"))) is None
    assert claims_to_merge(live()) is None
