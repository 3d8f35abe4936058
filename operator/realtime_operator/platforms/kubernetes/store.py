"""Cache of the objects in Kubernetes, fed by watches and by the answers to the operator's own writes.

Decisions depend on it, so it never goes back in time: the newer of two versions is kept, a deleted object does not
return with an older version, and the store is not complete before every part was listed once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import dig, object_at, objects_at, text_at
from realtime_operator.planning.model.difference import label, sets_without_apply
from realtime_operator.platforms.base import Key

CATCH_UP_SECONDS = 1.0
"""Seconds that a watch opened after a gap may take to deliver the changes of the gap."""
GAP_SECONDS = 2.0
"""Seconds without a watch that count as no gap.

A watch ends every few minutes, and the next one is opened at once; the watches are checked once a second.
"""
REMEMBERED_DELETIONS = 10_000
"""Number of deletions that are remembered, so that a late event does not restore an object."""


@dataclass(frozen=True, slots=True)
class Part:
    """Scope of one watch: the objects of a kind in one namespace, or in all (empty)."""

    api_version: str
    kind: str
    namespace: str = ""

    def __str__(self) -> str:
        return f"{self.kind} in {self.namespace or 'all namespaces'}"


@dataclass(frozen=True, slots=True)
class _Name:
    api_version: str
    kind: str
    namespace: str
    name: str


@dataclass(slots=True)
class _Health:
    """Freshness of a part, in monotonic seconds.

    `known_until` is the last time at which it was known to be complete; an open watch tells it from `caught_up_at` on.
    """

    listed: bool = False
    is_open: Callable[[], bool] | None = None
    caught_up_at: float = 0.0
    known_until: float = 0.0


def _ignore_change(_key: Key, _edited: bool) -> None:
    """Ignore a change: default of `ObjectStore.changed`."""


@dataclass(slots=True)
class ObjectStore:
    """RealtimeClusters and the objects with the label of one, by cluster.

    `changed` is called with the cluster's key after every change, with True when its spec has changed. `clock` returns
    monotonic seconds.
    """

    parts: Collection[Part]
    changed: Callable[[Key, bool], None] = _ignore_change
    clock: Callable[[], float] = time.monotonic
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    """Set while every part has been listed."""
    withheld: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """Kinds that are not watched because the operator lacks rights, with these rights; set by `watch`."""
    _health: dict[Part, _Health] = field(init=False)
    _where: dict[_Name, Key] = field(default_factory=dict)
    _objects: dict[Key, dict[_Name, JsonObject]] = field(default_factory=dict)
    _gone: dict[str, int | None] = field(default_factory=dict)
    """Uids of deleted objects with the version of the deletion; None when this process has deleted the object."""

    def __post_init__(self) -> None:
        self._health = {part: _Health() for part in self.parts}

    def kinds(self) -> frozenset[tuple[str, str]]:
        """Return apiVersion and kind of all that is watched."""
        return frozenset((part.api_version, part.kind) for part in self.parts)

    def watch(self, parts: Collection[Part], withheld: Mapping[tuple[str, str], str]) -> None:
        """Set what is watched, and what cannot be for lack of rights; call `restart` then.

        Objects of a kind that is not watched any more are dropped. Every cluster counts as changed when kinds differ.
        """
        before = self.kinds(), self.withheld
        self.parts, self.withheld = parts, withheld
        self._health = {part: self._health.get(part, _Health()) for part in parts}
        for name in [name for name in self._where if (name.api_version, name.kind) not in self.kinds()]:
            self._remove(name)
        if (self.kinds(), self.withheld) != before:
            for key in list(self._objects):
                self.changed(key, False)

    def cluster(self, key: Key) -> JsonObject | None:
        """Return the stored RealtimeCluster; None when it does not exist."""
        return self._objects.get(key, {}).get(_Name(naming.API_VERSION, naming.KIND, key.namespace, key.name))

    def clusters(self) -> list[tuple[JsonObject, list[JsonObject]]]:
        """Return all stored RealtimeClusters with the objects that have their labels."""
        found = ((self.cluster(key), key) for key in self._objects)
        return [(document, self.children(key)) for document, key in found if document is not None]

    def children(self, key: Key) -> list[JsonObject]:
        """Return the objects with the cluster's label, owned or not. They must not be modified."""
        return [item for name, item in self._objects.get(key, {}).items() if name.kind != naming.KIND]

    def put(self, document: JsonObject) -> None:
        """Take a version of an object from a read, a watch or the answer to a write; an older one is ignored."""
        name, uid, version = _name_of(document), uid_of(document), version_of(document)
        if uid in self._gone and (self._gone[uid] is None or version <= (self._gone[uid] or 0)):
            return
        key = _cluster_of(document)
        before = self._stored(name)
        if before is not None and version <= version_of(before):
            return
        if key is None:
            if before is not None:
                self._drop(name, uid, version)
            return
        if before is not None and self._where[name] != key:
            self._remove(name)
        self._gone.pop(uid, None)
        self._where[name] = key
        self._objects.setdefault(key, {})[name] = slim(document)
        if name.kind != naming.KIND:
            self.changed(key, False)
        elif before is None or _spec_identity(before) != _spec_identity(document):
            self.changed(key, True)

    def gone(self, document: JsonObject) -> None:
        """Remove an object that was deleted or has lost the label; `document` is its last version."""
        self._drop(_name_of(document), uid_of(document), version_of(document))

    def deleted(self, document: JsonObject) -> None:
        """Remove an object that this process has deleted; `document` has at least its kind, name, namespace and uid."""
        self._drop(_name_of(document), uid_of(document), None)

    def listed(self, part: Part, uids: Collection[str], version: int, asked_at: float) -> None:
        """Note that a list of a part is complete, and remove older objects that are not in it.

        `version` is the list's resourceVersion, `asked_at` the time of its request in monotonic seconds.
        """
        for name, key in list(self._where.items()):
            if _is_in(part, name):
                item = self._objects[key][name]
                if uid_of(item) not in uids and version_of(item) <= version:
                    self._drop(name, uid_of(item), version)
        self._health[part].listed = True
        self._health[part].known_until = asked_at
        if all(health.listed for health in self._health.values()):
            self.complete.set()

    def watching(self, part: Part, is_open: Callable[[], bool]) -> None:
        """Note that a watch of a part continues where the last list or watch ended; `is_open` tells if it is open."""
        health, now = self._health[part], self.clock()
        gap = now - health.known_until > GAP_SECONDS
        health.is_open, health.caught_up_at = is_open, now + CATCH_UP_SECONDS if gap else now

    def restart(self) -> None:
        """Note that watching starts anew.

        Objects are kept, but the store is incomplete until every part is listed again.
        """
        self.complete.clear()
        for health in self._health.values():
            health.listed, health.is_open = False, None

    def known_until(self) -> float:
        """Return until when (monotonic seconds) the store has all changes; now while every watch is open."""
        now = self.clock()
        for health in self._health.values():
            if health.listed and health.is_open is not None and now >= health.caught_up_at and health.is_open():
                health.known_until = now
        oldest = min((health.known_until for health in self._health.values()), default=now)
        return now if now - oldest <= GAP_SECONDS else oldest

    def missing(self) -> list[Part]:
        """Return the parts that are not listed yet."""
        return [part for part, health in self._health.items() if not health.listed]

    def _stored(self, name: _Name) -> JsonObject | None:
        key = self._where.get(name)
        return None if key is None else self._objects[key][name]

    def _drop(self, name: _Name, uid: str, version: int | None) -> None:
        self._remember(uid, version)
        before = self._stored(name)
        if before is None or uid_of(before) != uid or (version is not None and version_of(before) > version):
            return
        key = self._remove(name)
        self.changed(key, name.kind == naming.KIND)

    def _remove(self, name: _Name) -> Key:
        key = self._where.pop(name)
        items = self._objects[key]
        del items[name]
        if not items:
            del self._objects[key]
        return key

    def _remember(self, uid: str, version: int | None) -> None:
        known = self._gone.pop(uid, 0)
        self._gone[uid] = None if version is None or known is None else max(version, known)
        while len(self._gone) > REMEMBERED_DELETIONS:
            del self._gone[next(iter(self._gone))]


def slim(document: JsonObject) -> JsonObject:
    """Return the object without data that no decision needs.

    Most of a pod's specification is dropped. Of managedFields only the operator's entries of other operations than
    Apply are kept, without their fields.
    """
    metadata = object_at(document, "metadata")
    kept: JsonObject = {key: value for key, value in metadata.items() if key != "managedFields"}
    created: list[JsonValue] = [
        {name: value for name, value in entry.items() if name != "fieldsV1"}
        for entry in objects_at(metadata, "managedFields")
        if sets_without_apply(entry)
    ]
    found: JsonObject = {**document, "metadata": {**kept, "managedFields": created} if created else kept}
    if document.get("kind") == "Pod":
        found["spec"] = _slim_pod(document)
    return found


def _slim_pod(pod: JsonObject) -> JsonObject:
    containers: list[JsonValue] = [
        {"name": container.get("name"), "image": container.get("image")}
        for container in objects_at(pod, "spec", "containers")
    ]
    kept: JsonObject = {"containers": containers, "nodeName": dig(pod, "spec", "nodeName")}
    if label(pod, naming.LABEL_COMPONENT) in {naming.COMPONENT_REDIS, naming.COMPONENT_REDIS_TRIAL}:
        volumes: list[JsonValue] = [{"name": volume.get("name")} for volume in objects_at(pod, "spec", "volumes")]
        kept |= {"subdomain": dig(pod, "spec", "subdomain"), "volumes": volumes}
    return kept


def version_of(document: JsonObject) -> int:
    """Return the resourceVersion as a number, which orders versions; 0 when there is none."""
    text = text_at(document, "metadata", "resourceVersion")
    return int(text) if text.isdecimal() else 0


def uid_of(document: JsonObject) -> str:
    """Return the object's uid."""
    return text_at(document, "metadata", "uid")


def _name_of(document: JsonObject) -> _Name:
    return _Name(
        text_at(document, "apiVersion"),
        text_at(document, "kind"),
        text_at(document, "metadata", "namespace"),
        text_at(document, "metadata", "name"),
    )


def _cluster_of(document: JsonObject) -> Key | None:
    """Return the key of a RealtimeCluster, or of the one in an object's label; None without the label."""
    namespace = text_at(document, "metadata", "namespace")
    if document.get("kind") == naming.KIND:
        return Key(namespace, text_at(document, "metadata", "name"))
    name = label(document, naming.LABEL_CLUSTER)
    return None if name is None else Key(namespace, name)


def _spec_identity(cluster: JsonObject) -> tuple[JsonValue, ...]:
    """Return a value that differs after an edit of the spec or a request to rotate, not after a write of the status."""
    metadata = cluster["metadata"]
    rotate = dig(metadata, "annotations", naming.ANNOTATION_ROTATE)
    return (dig(metadata, "uid"), dig(metadata, "generation"), dig(metadata, "deletionTimestamp"), rotate)


def _is_in(part: Part, name: _Name) -> bool:
    same = (part.api_version, part.kind) == (name.api_version, name.kind)
    return same and part.namespace in {"", name.namespace}
