"""The write by which a live object becomes what its manifest says."""

from __future__ import annotations

from collections.abc import Mapping

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import text_at
from realtime_operator.planning.difference import needs_apply
from realtime_operator.planning.plan import Action, ApplyObject, CreateObject
from realtime_operator.planning.world import ObjectKey, object_key


def write(
    manifest: JsonObject, objects: Mapping[ObjectKey, JsonObject], requires: tuple[ObjectKey, ...] = ()
) -> list[Action]:
    """Create what is missing, apply to what differs, and nothing else. `requires`: see CreateObject."""
    live = objects.get(object_key(manifest))
    if live is None:
        return [CreateObject(manifest, requires)]
    return [ApplyObject(manifest, text_at(live, "metadata", "uid"), requires)] if needs_apply(manifest, live) else []
