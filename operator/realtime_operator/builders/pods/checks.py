"""What settings of pods must not break: names that the operator uses, and what it needs of its pods."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import dig, object_at, objects_at, text_at
from realtime_operator.api.errors import Finding, FindingReason, format_path
from realtime_operator.api.v1alpha1_metadata import is_reserved
from realtime_operator.api.v1alpha1_pod import PodSettings
from realtime_operator.builders.pods.paths import Parts, PodPaths
from realtime_operator.builders.pods.pod import TEMPORARY_DIRECTORY
from realtime_operator.builders.pods.strategic_merge import MERGE_KEYS, PatchError

_NEEDED: Final[Mapping[str, str]] = {
    "args": "the operator starts its program with them",
    "command": "the operator starts its program with them",
    "env": "the program reads it",
    "labels": "the operator, its Services and its ReplicaSets find the pods by them",
    "annotations": "the operator reads it",
    "lifecycle": "the drain moves connections away before the server ends",
    "livenessProbe": "it finds a program that hangs",
    "ports": "Services, probes and the operator use it",
    "readinessProbe": "it decides where clients connect",
    "startupProbe": "it gives the program time to start",
    "volumeMounts": "configuration and credentials are read from it",
    "volumes": "configuration and credentials are read from it",
}
"""Parts of the pod template that must stay as they are, with the reason."""
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
_HANDLERS = ("httpGet", "exec", "tcpSocket", "grpc")


def check_pod(prefix: str, base: JsonObject, settings: PodSettings, selector: JsonObject) -> Iterator[Finding]:
    """Yield what is wrong with the settings of a pod, whose path in the spec is `prefix`.

    `base` is the template without them, whose first container is the operator's.
    """
    taken = [*_collisions(prefix, base, settings)]
    yield from taken
    if taken:
        return
    try:
        paths = PodPaths.render(prefix, base, settings, selector)
    except PatchError as error:
        yield _finding(format_path([prefix, "template", *error.path]), error.message)
        return
    broken = [] if settings.template is None else [*_broken(paths)]
    yield from broken or (*_without_image(paths), *_doubled_ports(paths))


def _finding(path: str, message: str) -> Finding:
    return Finding(path, FindingReason.INVALID_FIELD, message)


def _collisions(prefix: str, base: JsonObject, settings: PodSettings) -> Iterator[Finding]:
    """Yield names in the settings that the operator's part of the pod has already, and mounts over its mounts."""
    pod = object_at(base, "spec")
    own = objects_at(pod, "containers")[0]
    containers = [*objects_at(pod, "containers"), *objects_at(pod, "initContainers")]
    yield from _taken(f"{prefix}.volumes", settings.volumes, objects_at(pod, "volumes"), "is a volume of the operator")
    yield from _taken(f"{prefix}.containers", settings.containers, containers, "is a container of the operator")
    yield from _taken(
        f"{prefix}.initContainers", settings.init_containers, containers, "is a container of the operator"
    )
    yield from _taken(f"{prefix}.env", settings.env, objects_at(own, "env"), "is set by the operator")
    directories = [text_at(mount, "mountPath") for mount in objects_at(own, "volumeMounts")]
    for index, mount in enumerate(settings.volume_mounts):
        path = text_at(mount, "mountPath")
        over = next((directory for directory in directories if _overlap(path, directory)), None)
        if over is not None:
            message = f"{path} overlaps {over}, where the operator mounts a volume: choose another path"
            yield _finding(f"{prefix}.volumeMounts[{index}].mountPath", message)


def _taken(path: str, wanted: tuple[JsonObject, ...], own: list[JsonObject], message: str) -> Iterator[Finding]:
    names = {text_at(item, "name") for item in own}
    for index, item in enumerate(wanted):
        if text_at(item, "name") in names:
            yield _finding(f"{path}[{index}].name", f"{text_at(item, 'name')} {message}: choose another name")


def _overlap(path: str, directory: str) -> bool:
    """Return True when one path is the other or below it; folders below the temporary one are free."""
    one, other = f"{path.rstrip('/')}/", f"{directory.rstrip('/')}/"
    below = one.startswith(other) and (one == other or directory != TEMPORARY_DIRECTORY)
    return below or other.startswith(one)


def _broken(paths: PodPaths) -> Iterator[Finding]:
    """Yield what a patch has changed although the operator needs it."""
    for difference in _differences(_needed(paths.base), paths.final, ()):
        parts, wanted = difference.parts, difference.wanted
        name = next((part for part in reversed(parts) if isinstance(part, str) and part in _NEEDED), "")
        reason = f": {_NEEDED[name]}" if name else ""
        verb = "stay" if difference.item is None else "have"
        value = "be absent" if wanted is None else f"{verb} {json.dumps(wanted)}"
        yield _finding(paths.in_patch(parts, difference.item), f"{format_path(parts)} must {value}{reason}")
    yield from _reserved_keys(paths)
    grace = dig(paths.base, "spec", "terminationGracePeriodSeconds")
    given = dig(paths.final, "spec", "terminationGracePeriodSeconds")
    if isinstance(grace, int) and (not isinstance(given, int) or given < grace):
        message = f"must be at least {grace}, the time that the operator's program may take to end"
        yield _finding(paths.in_patch(("spec", "terminationGracePeriodSeconds")), message)
    if dig(paths.final, "spec", "serviceAccount") is not None:
        yield _finding(paths.in_patch(("spec", "serviceAccount")), "is deprecated: use serviceAccountName")


def _needed(base: JsonObject) -> JsonObject:
    """Return the part of a template that must stay as it is."""
    own = objects_at(base, "spec", "containers")[0]
    container: JsonObject = {name: own.get(name) for name in ("name", "command", "args")}
    container |= {name: own[name] for name in ("env", "ports", "lifecycle", "volumeMounts") if name in own}
    for probe in _PROBES:
        if probe in own:
            container[probe] = {name: value for name, value in object_at(own, probe).items() if name in _HANDLERS}
    volumes: list[JsonValue] = [volume for volume in objects_at(base, "spec", "volumes") if "emptyDir" not in volume]
    return {
        "metadata": {**object_at(base, "metadata")},
        "spec": {"containers": [container], "volumes": volumes},
    }


@dataclass(frozen=True, slots=True)
class _Difference:
    """Place where a template differs from what is needed; `wanted` None: it must be absent.

    With `item`, the list at this place lacks the item with this key and value.
    """

    parts: Parts
    wanted: JsonValue
    item: tuple[str, JsonValue] | None = None


def _differences(needed: JsonObject, final: JsonValue, parts: Parts) -> Iterator[_Difference]:
    for key, value in needed.items():
        found = final.get(key) if isinstance(final, dict) else None
        here = (*parts, key)
        if isinstance(value, dict) and key not in _HANDLERS:
            yield from _differences(value, found, here)
        elif isinstance(value, list) and key in MERGE_KEYS:
            for item in value:
                assert isinstance(item, dict)
                yield from _differences_of_item(item, found if isinstance(found, list) else [], here)
        elif found != value:
            yield _Difference(here, value)


def _differences_of_item(needed: JsonObject, items: list[JsonValue], parts: Parts) -> Iterator[_Difference]:
    key = MERGE_KEYS[str(parts[-1])]
    for index, item in enumerate(items):
        if isinstance(item, dict) and item.get(key) == needed[key]:
            yield from _differences(needed, item, (*parts, index))
            return
    yield _Difference(parts, {key: needed[key]}, (key, needed[key]))


def _reserved_keys(paths: PodPaths) -> Iterator[Finding]:
    for name in ("labels", "annotations"):
        own = object_at(paths.base, "metadata", name)
        for key in object_at(paths.final, "metadata", name):
            if is_reserved(key) and key not in own:
                yield _finding(paths.in_patch(("metadata", name, key)), f"{key} is reserved for the operator")


def _without_image(paths: PodPaths) -> Iterator[Finding]:
    """Yield further containers without an image: whoever writes the name of the operator's wrongly gets such a one."""
    own = text_at(objects_at(paths.base, "spec", "containers")[0], "name")
    for kind in ("containers", "initContainers"):
        for index, container in enumerate(objects_at(paths.final, "spec", kind)):
            if not container.get("image"):
                message = f"{text_at(container, 'name')} needs an image; the operator's container is {own}"
                yield _finding(paths.of(("spec", kind, index, "image")), message)


def _doubled_ports(paths: PodPaths) -> Iterator[Finding]:
    """Yield ports of further containers that have the name or the number of one of the operator's."""
    own = objects_at(objects_at(paths.final, "spec", "containers")[0], "ports")
    taken: set[JsonValue] = {value for port in own for value in (port.get("name"), port.get("containerPort"))} - {None}
    for kind in ("containers", "initContainers"):
        for index, container in enumerate(objects_at(paths.final, "spec", kind)):
            if kind == "containers" and index == 0:
                continue
            for at, port in enumerate(objects_at(container, "ports")):
                for field in ("name", "containerPort"):
                    if port.get(field) in taken:
                        path = paths.of(("spec", kind, index, "ports", at, field))
                        yield _finding(path, f"{port[field]} is a port of the operator's container: choose another one")
