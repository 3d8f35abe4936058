"""History of rolled-out revisions, and patches that restore one of them. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from pydantic import ValidationError

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import dig, merge_patch
from realtime_operator.api.revision_part import differing_part, revision_part
from realtime_operator.api.v1alpha1 import RealtimeCluster, RealtimeClusterSpec
from realtime_operator.api.v1alpha1_status import RevisionRecord
from realtime_operator.planning.model.timestamps import timestamp

KEPT = 5
MAX_SPEC_CHARACTERS = 65536


@dataclass(frozen=True, slots=True)
class Rollback:
    """Rollback to a revision: the merge patch of the spec, and the spec that results from it."""

    revision: str
    patch: JsonObject
    spec: JsonObject


def recorded(
    cluster: RealtimeCluster, old: JsonValue, current: str | None, target: str, now: datetime
) -> list[JsonValue]:
    """Return the history to write: with the target first once all servers run it, else `old`."""
    kept = [entry for entry in old if isinstance(entry, dict)] if isinstance(old, list) else []
    if current != target or (kept and kept[0].get("revision") == target):
        return [*kept]
    text = json.dumps(to_record(cluster), separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    if len(text) > MAX_SPEC_CHARACTERS:
        return [*kept]
    entry: JsonObject = {"revision": target, "completedAt": timestamp(now), "spec": text}
    others = [other for other in kept if other.get("revision") != target]
    return [entry, *others[: KEPT - 1]]


def to_record(cluster: RealtimeCluster) -> JsonObject:
    """Return the part of the written spec that makes its revision, and the managed Redis.

    The managed Redis makes no revision, but is restored with a revision that used it instead of an external one.
    """
    written: JsonObject = cluster.spec.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    part = revision_part(written)
    return {**part, "backplane": written["backplane"]} if written.get("backplane") else part


def entries(cluster: RealtimeCluster) -> tuple[RevisionRecord, ...]:
    """Return the history, newest first."""
    return (cluster.status.revision_history or ()) if cluster.status is not None else ()


def recorded_spec(entry: RevisionRecord, now: RealtimeClusterSpec) -> RealtimeClusterSpec | None:
    """Return the spec of a revision, with the current values of other fields; None when the record is invalid."""
    written: JsonObject = now.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)
    patch = patch_to(written, entry)
    if patch is None:
        return None
    try:
        return RealtimeClusterSpec.model_validate_json(json.dumps(merge_patch(written, patch)))
    except ValidationError:
        return None


def rollbacks(cluster: RealtimeCluster, spec: JsonObject, to: str | None) -> Iterator[Rollback]:
    """Yield the revisions in the history that differ from the current spec (`to`: only that one), newest first.

    `spec` is the cluster's spec as written.
    """
    for entry in entries(cluster):
        if to not in {None, entry.revision}:
            continue
        there = recorded_spec(entry, cluster.spec)
        patch = patch_to(spec, entry)
        if there is None or patch is None or differing_part(there) == differing_part(cluster.spec):
            continue
        merged = merge_patch(spec, patch)
        assert isinstance(merged, dict)  # both are objects
        yield Rollback(entry.revision, patch, merged)


def patch_to(now: JsonObject, entry: RevisionRecord) -> JsonObject | None:
    """Return the JSON merge patch (RFC 7396) that restores a revision; None when its record is invalid."""
    then = _parsed(entry.spec)
    if then is None:
        return None
    current, wanted = revision_part(now), revision_part(then)
    if _uses_external(now) != _uses_external(then):
        current |= {"backplane": now.get("backplane", {})}
        wanted |= {"backplane": then.get("backplane", {})}
    patch = difference(current, wanted)
    return patch if isinstance(patch, dict) else {}


def _parsed(text: str) -> JsonObject | None:
    try:
        document: JsonValue = json.loads(text)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _uses_external(spec: JsonObject) -> bool:
    return dig(spec, "backplane", "redis", "external") is not None


def difference(now: JsonValue, then: JsonValue) -> JsonValue:
    """Return the merge patch from one value to another; an empty object for equal objects."""
    if not isinstance(now, dict) or not isinstance(then, dict):
        return then
    removed: JsonObject = {key: None for key in now if key not in then}
    changed = {key: difference(now.get(key), value) for key, value in then.items() if now.get(key) != value}
    return {**removed, **changed}
