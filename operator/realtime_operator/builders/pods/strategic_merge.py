"""Strategic merge patch of a pod template, as the API server does it.

Lists are merged by key where Kubernetes does so, and replaced as a whole otherwise. `tests/apiserver` compares the
results with those of `kubectl patch`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.errors import format_path

MERGE_KEYS: Final[Mapping[str, str]] = {
    "containers": "name",
    "env": "name",
    "ephemeralContainers": "name",
    "hostAliases": "ip",
    "imagePullSecrets": "name",
    "initContainers": "name",
    "ports": "containerPort",
    "resourceClaims": "name",
    "schedulingGates": "name",
    "topologySpreadConstraints": "topologyKey",
    "volumeDevices": "devicePath",
    "volumeMounts": "mountPath",
    "volumes": "name",
}
"""Key of the items of each list in a pod template that is merged: `patchMergeKey` in Kubernetes 1.34, core/v1/types.go.

No two lists in a pod template have the same name and another key.
"""

DIRECTIVE = "$patch"


class PatchError(ValueError):
    """A patch cannot be applied; `path` is the place in the patch, as a sequence of fields and indices."""

    def __init__(self, path: Sequence[str | int], message: str) -> None:
        super().__init__(f"{format_path(['template', *path])}: {message}")
        self.path = tuple(path)
        self.message = message


Path = tuple[str | int, ...]


def strategic_merge(original: JsonObject, patch: JsonObject) -> JsonObject:
    """Return the original with the patch applied; raises PatchError."""
    return _merge_objects(original, patch, ())


def _merge_objects(original: JsonObject, patch: JsonObject, path: Path) -> JsonObject:
    if DIRECTIVE in patch:
        return _replaced(patch, path)
    merged = dict(original)
    for key, value in patch.items():
        here = (*path, key)
        if key.startswith("$"):
            raise PatchError(here, "is not supported: use $patch with replace or delete")
        before = merged.get(key)
        if isinstance(before, dict) and isinstance(value, dict):
            merged[key] = _merge_objects(before, value, here)
        elif isinstance(before, list) and isinstance(value, list) and key in MERGE_KEYS:
            merged[key] = _merge_lists(before, value, MERGE_KEYS[key], here)
        elif not _is_deletion(value):
            merged[key] = _without_directives(value, here, merges=key in MERGE_KEYS)
        else:
            merged.pop(key, None)
    return merged


def _replaced(patch: JsonObject, path: Path) -> JsonObject:
    """Carry out the directive of an object."""
    directive = patch[DIRECTIVE]
    if directive == "delete":
        return {}
    if directive == "replace":
        kept = {key: value for key, value in patch.items() if key != DIRECTIVE}
        return {
            key: _without_directives(value, (*path, key), merges=key in MERGE_KEYS)
            for key, value in kept.items()
            if not _is_deletion(value)
        }
    raise PatchError((*path, DIRECTIVE), "must be replace or delete")


def _is_deletion(value: JsonValue) -> bool:
    return isinstance(value, dict) and value.get(DIRECTIVE) == "delete"


def _merge_lists(original: list[JsonValue], patch: list[JsonValue], key: str, path: Path) -> list[JsonValue]:
    """Merge lists of objects by their key, in the order that the API server gives them."""
    items = [(index, _item(item, (*path, index))) for index, item in enumerate(patch)]
    kept, added, replaces = _directives(original, items, key, path)
    if replaces:
        return [_without_directives(item, (*path, index), merges=False) for index, item in added]
    merged = [*kept]
    for index, item in added:
        here = (*path, index)
        place = _index(merged, _key_of(item, key, here), key)
        if place is None:
            merged.append(_without_directives(item, here, merges=False))
        else:
            merged[place] = _merge_objects(_item(merged[place], here), item, here)
    return _ordered(merged, [item for _, item in added], kept, key)


def _directives(
    original: list[JsonValue], patch: Sequence[tuple[int, JsonObject]], key: str, path: Path
) -> tuple[list[JsonValue], list[tuple[int, JsonObject]], bool]:
    """Return the original without deleted items, the items of the patch without directives, and True for `replace`."""
    added: list[tuple[int, JsonObject]] = []
    kept, replaces = [*original], False
    for index, item in patch:
        here = (*path, index)
        match item.get(DIRECTIVE):
            case None:
                added.append((index, item))
            case "delete":
                unwanted = _key_of(item, key, here)
                kept = [other for other in kept if not (isinstance(other, dict) and other.get(key) == unwanted)]
            case "replace":
                replaces = True
            case _:
                raise PatchError((*here, DIRECTIVE), "must be replace or delete")
    return kept, added, replaces


def _ordered(
    merged: list[JsonValue], patch: Sequence[JsonObject], original: list[JsonValue], key: str
) -> list[JsonValue]:
    """Order the merged list: the patch's items in its order, the others before the first that followed them."""
    wanted = [item.get(key) for item in patch]
    patched = sorted(
        (item for item in merged if _value(item, key) in wanted), key=lambda i: wanted.index(_value(i, key))
    )
    others = [item for item in merged if _value(item, key) not in wanted]
    places = [_value(item, key) for item in original]
    result: list[JsonValue] = []
    while others and patched:
        left, right = _value(others[0], key), _value(patched[0], key)
        is_first = left in places and right in places and places.index(left) < places.index(right)
        result.append((others if is_first else patched).pop(0))
    return [*result, *others, *patched]


def _without_directives(value: JsonValue, path: Path, *, merges: bool) -> JsonValue:
    """Return a value that is taken as it is; `merges` is True for a list that would be merged with an existing one."""
    if isinstance(value, dict):
        if DIRECTIVE in value:
            raise PatchError((*path, DIRECTIVE), "has nothing to replace here: leave it out")
        return _merge_objects({}, value, path)
    if not isinstance(value, list):
        return value
    kept: list[JsonValue] = []
    for index, item in enumerate(value):
        here = (*path, index)
        if isinstance(item, dict) and DIRECTIVE in item:
            if not merges:
                raise PatchError(here, "has no place in a list that is replaced as a whole")
            continue
        kept.append(_without_directives(item, here, merges=False))
    return kept


def _item(value: JsonValue, path: Path) -> JsonObject:
    if not isinstance(value, dict):
        raise PatchError(path, "must be an object")
    return value


def _key_of(item: JsonObject, key: str, path: Path) -> JsonValue:
    if key not in item:
        raise PatchError(path, f"needs {key}, by which the items of this list are merged")
    return item[key]


def _value(item: JsonValue, key: str) -> JsonValue:
    return item.get(key) if isinstance(item, dict) else None


def _index(items: Sequence[JsonValue], value: JsonValue, key: str) -> int | None:
    return next((index for index, item in enumerate(items) if _value(item, key) == value), None)
