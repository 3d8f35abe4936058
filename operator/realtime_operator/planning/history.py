"""Which revisions were rolled out, and how to go back to one of them. Pure."""

from __future__ import annotations

import json
from datetime import datetime

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.planning.timestamps import timestamp

KEPT = 5
MAX_SPEC_CHARACTERS = 65536
REVISION_FIELDS = ("image", "server", "namespaces", "auth", "api", "backplane", "pod")
"""The fields of the spec that make a revision; the others say how many servers there are and how they are replaced."""


def recorded(
    cluster: RealtimeCluster, old: JsonValue, current: str | None, target: str, now: datetime
) -> list[JsonValue]:
    """The history to write: with the target first once it serves as a whole, as `old` else."""
    kept = [entry for entry in old if isinstance(entry, dict)] if isinstance(old, list) else []
    if current != target or (kept and kept[0].get("revision") == target):
        return [*kept]
    text = json.dumps(revision_fields(cluster), separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    if len(text) > MAX_SPEC_CHARACTERS:
        return [*kept]
    entry: JsonObject = {"revision": target, "completedAt": timestamp(now), "spec": text}
    others = [other for other in kept if other.get("revision") != target]
    return [entry, *others[: KEPT - 1]]


def revision_fields(cluster: RealtimeCluster) -> JsonObject:
    """The part of a spec that makes its revision, as it is written."""
    dumped: JsonObject = cluster.spec.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    return {name: dumped[name] for name in REVISION_FIELDS if name in dumped}


def patch_to(now: JsonObject, then: JsonObject) -> JsonObject:
    """The JSON merge patch (RFC 7396) that makes REVISION_FIELDS of a spec what they were."""
    current = {name: now[name] for name in REVISION_FIELDS if name in now}
    patch = difference(current, then)
    return patch if isinstance(patch, dict) else {}


def difference(now: JsonValue, then: JsonValue) -> JsonValue:
    """The merge patch from one value to another; an empty object when they are objects that say the same."""
    if not isinstance(now, dict) or not isinstance(then, dict):
        return then
    removed: JsonObject = {key: None for key in now if key not in then}
    changed = {key: difference(now.get(key), value) for key, value in then.items() if now.get(key) != value}
    return {**removed, **changed}
