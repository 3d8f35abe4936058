"""Places in a rendered pod template, and the fields of the spec that they come from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Self

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import objects_at
from realtime_operator.api.errors import format_path
from realtime_operator.api.v1alpha1_pod import PodSettings
from realtime_operator.builders.pods.pod_settings import with_fields, with_settings
from realtime_operator.builders.pods.strategic_merge import MERGE_KEYS

Parts = tuple[str | int, ...]

_FIELDS: Final[Mapping[str, str]] = {
    "affinity": "affinity",
    "nodeSelector": "nodeSelector",
    "priorityClassName": "priorityClassName",
    "runtimeClassName": "runtimeClassName",
    "securityContext": "securityContext",
    "serviceAccountName": "serviceAccountName",
    "tolerations": "tolerations",
    "topologySpreadConstraints": "topologySpreadConstraints",
}
"""Fields of a pod's spec that a field of the settings gives as a whole."""
_LISTS = ("volumes", "containers", "initContainers")
_CONTAINER_LISTS = ("env", "envFrom", "volumeMounts")
_PART = re.compile(r"([^.\[\]]+)|\[([^\]]*)\]")


@dataclass(frozen=True, slots=True)
class PodPaths:
    """Paths of one pod, whose settings are at `prefix` in the spec.

    `base` is its template without the settings, `before` the one without the patch, and `final` the rendered one.
    """

    prefix: str
    base: JsonObject
    before: JsonObject
    final: JsonObject
    patch: JsonObject | None

    @classmethod
    def render(cls, prefix: str, base: JsonObject, settings: PodSettings, selector: JsonObject) -> Self:
        """Render the pod, see `with_settings`; raises PatchError."""
        before, final = with_fields(base, settings, selector), with_settings(base, settings, selector)
        return cls(prefix, base, before, final, settings.template)

    def of(self, parts: Parts) -> str:
        """Return the path in the spec of a place in the rendered template; that of the settings when none gives it."""
        in_patch = [] if self.patch is None else self._in_patch(parts)
        before = _translated(self.final, self.before, parts)
        if before is None or len(in_patch) > _depth_of_items(parts):
            return format_path([self.prefix, "template", *in_patch])
        return format_path([self.prefix, *self._in_fields(before)])

    def in_patch(self, parts: Parts, item: tuple[str, JsonValue] | None = None) -> str:
        """Return the path of the part of the patch that is the nearest to a place in the rendered template.

        `item` is the key and value of an item that the list at this place lacks.
        """
        found = self._in_patch(parts)
        if item is not None and len(found) == len(parts):
            key, value = item
            place = _place(_at(self.patch, found), {key: value}, 0, key)
            found += [] if place is None else [place]
        return format_path([self.prefix, "template", *found])

    def _in_patch(self, parts: Parts) -> list[str | int]:
        """Return the longest way into the patch along a place; items of lists are found by their merge key."""
        found: list[str | int] = []
        patched: JsonValue = self.patch
        rendered: JsonValue = self.final
        for index, part in enumerate(parts):
            if isinstance(part, str):
                if not isinstance(patched, dict) or part not in patched:
                    break
                patched = patched[part]
                rendered = rendered.get(part) if isinstance(rendered, dict) else None
                found.append(part)
                continue
            item = rendered[part] if isinstance(rendered, list) and part < len(rendered) else None
            place = _place(patched, item, part, MERGE_KEYS.get(str(parts[index - 1])))
            if place is None or not isinstance(patched, list):
                break
            patched, rendered = patched[place], item
            found.append(place)
        return found

    def _in_fields(self, parts: Parts) -> Sequence[str | int]:
        match parts:
            case ("metadata", ("labels" | "annotations") as name, *rest):
                return [name, *rest]
            case ("spec", "containers", 0, *rest):
                return self._in_container(rest)
            case ("spec", str() as name, int() as index, *rest) if name in _LISTS:
                own = len(objects_at(self.base, "spec", name))
                return [name, index - own, *rest] if index >= own else []
            case ("spec", str() as name, *rest) if name in _FIELDS:
                return [_FIELDS[name], *rest]
        return []

    def _in_container(self, parts: Sequence[str | int]) -> Sequence[str | int]:
        match parts:
            case [str() as name, int() as index, *rest] if name in _CONTAINER_LISTS:
                own = len(objects_at(objects_at(self.base, "spec", "containers")[0], name))
                return [name, index - own, *rest] if index >= own else []
            case ["securityContext", *rest]:
                return ["containerSecurityContext", *rest]
            case ["resources", *rest]:
                return ["resources", *rest]
        return []


def parse_parts(path: str) -> Parts:
    """Parse a path of the API server, like `spec.containers[0].env[1].name`; keys of maps are parts too."""
    return tuple(_part(field, key) for field, key in _PART.findall(path))


def _part(field: str, key: str) -> str | int:
    return field or (int(key) if key.isdecimal() else key)


def _translated(rendered: JsonValue, before: JsonValue, parts: Parts) -> Parts | None:
    """Return a place with the indices that its items have in another document, None when an item is not in it."""
    found: list[str | int] = []
    for index, part in enumerate(parts):
        if isinstance(part, str):
            rendered = rendered.get(part) if isinstance(rendered, dict) else None
            before = before.get(part) if isinstance(before, dict) else None
            found.append(part)
            continue
        item = rendered[part] if isinstance(rendered, list) and part < len(rendered) else None
        place = _place(before, item, part, MERGE_KEYS.get(str(parts[index - 1])))
        if place is None or not isinstance(before, list):
            return None
        rendered, before = item, before[place]
        found.append(place)
    return tuple(found)


def _at(document: JsonValue, parts: Sequence[str | int]) -> JsonValue:
    """Return the value at a place that exists."""
    for part in parts:
        if isinstance(document, dict):
            document = document[str(part)]
        elif isinstance(document, list):
            document = document[int(part)]
    return document


def _place(patched: JsonValue, item: JsonValue, index: int, key: str | None) -> int | None:
    """Return the index in a list of the patch of an item that was rendered."""
    if not isinstance(patched, list):
        return None
    if key is None:
        return index if index < len(patched) else None
    value = item.get(key) if isinstance(item, dict) else None
    return next((at for at, one in enumerate(patched) if isinstance(one, dict) and one.get(key) == value), None)


def _depth_of_items(parts: Parts) -> int:
    """Return the length of the way to the last item of a list in a place, which a patch may only pass through."""
    return max((index + 1 for index, part in enumerate(parts[:-1]) if isinstance(part, int)), default=1)
