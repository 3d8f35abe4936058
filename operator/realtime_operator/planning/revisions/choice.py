"""Choice of the revision that servers run: a revision is kept while the spec that made it is unchanged. Pure.

An operator of another release would make another revision of the same spec, with another configuration or other default
images. Those are taken with the next change of the spec that makes a revision, not with the upgrade of the operator.
The same holds for the managed Redis, whose restart would end all histories.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from realtime_operator import builders, naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, text_at
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_metadata import CommonMetadata
from realtime_operator.api.v1alpha1_status import RevisionRecord
from realtime_operator.builders import BuildSettings, Revision
from realtime_operator.builders.record import made_of, recorded, redis_hash, servers_hash
from realtime_operator.planning.model.difference import contains, plan_write, revision_of
from realtime_operator.planning.model.plan import Action, ScaleRevision
from realtime_operator.planning.model.world import ObjectKey, World, object_key
from realtime_operator.planning.revisions import history

Objects = Mapping[ObjectKey, JsonObject]


@dataclass(frozen=True, slots=True)
class Target:
    """The revision that servers shall run.

    `revision` is the applied one, or the one to apply. None: the ReplicaSet has no complete record of its manifests, so
    it is kept as it is. `is_newest`: the one that the operator would make of the spec now is no other, or was rolled
    back. `of_spec`: it was made from the spec.
    """

    name: str
    replica_set: ObjectKey
    revision: Revision | None
    is_newest: bool
    of_spec: bool = True

    def with_metadata(self, common: CommonMetadata) -> Target:
        """Return the revision with the labels and annotations that all objects get; None stays as it is."""
        if self.revision is None:
            return self
        config_map = builders.with_common_metadata(self.revision.config_map, common)
        template = builders.with_common_metadata(self.revision.template, common)
        return replace(self, revision=replace(self.revision, config_map=config_map, template=template))

    def apply(self, replicas: int, objects: Objects, requires: tuple[ObjectKey, ...] = ()) -> list[Action]:
        """Plan the writes that restore the revision, with this number of pods.

        `requires` are objects without which no pod may be made, beside the revision's own configuration.
        """
        if self.revision is None:
            same = dig(objects[self.replica_set], "spec", "replicas") == replicas
            uid = text_at(objects[self.replica_set], "metadata", "uid")
            return [] if same else [ScaleRevision(self.replica_set.name, uid, replicas)]
        config_map, replica_set = self.revision.config_map, self.revision.replica_set(replicas)
        return [
            *plan_write(config_map, objects),
            *plan_write(replica_set, objects, (*requires, object_key(config_map))),
        ]


@dataclass(frozen=True, slots=True)
class RolledBack:
    """A revision that was tried and rolled back, and the one that serves in its place."""

    tried: str
    current: str


@dataclass(frozen=True, slots=True)
class Redis:
    """The managed Redis to run: the StatefulSet to apply, also as it was made; `is_newest` as in Target."""

    manifest: JsonObject
    made: JsonObject
    is_newest: bool


def choose(
    cluster: RealtimeCluster, objects: Objects, settings: BuildSettings, rolled_back: RolledBack | None = None
) -> Target:
    """Return the existing revision that was made from the spec; else the one that is made from it now.

    `rolled_back` replaces it by the one that was gone back to, while that exists.
    """
    made = newest(cluster, settings)
    if rolled_back is not None and (key := _replica_set(cluster, rolled_back.current)) in objects:
        applied = _as_applied(rolled_back.current, objects[key])
        of_spec = made_of(objects[key]) == servers_hash(cluster)
        return Target(rolled_back.current, key, applied, made.name == rolled_back.tried, of_spec)
    for name in _made_before(cluster, objects):
        key, is_newest = _replica_set(cluster, name), name == made.name
        applied = _as_applied(name, objects[key])
        return Target(name, key, applied or made.revision if is_newest else applied, is_newest)
    return made


def newest(cluster: RealtimeCluster, settings: BuildSettings) -> Target:
    """Return the revision that the operator makes of the spec now, whatever exists."""
    revision = builders.build_revision(cluster, settings)
    return Target(revision.name, _replica_set(cluster, revision.name), revision, is_newest=True)


def choose_redis(cluster: RealtimeCluster, world: World, shared: Sequence[JsonObject]) -> Redis | None:
    """Return the StatefulSet of the managed Redis, as it was made while spec and password are unchanged.

    `shared` has the one that would be made now; None when it has none.
    """
    newest = next((manifest for manifest in shared if manifest["kind"] == "StatefulSet"), None)
    if newest is None:
        return None
    live = world.objects.get(object_key(newest))
    if live is None or not _is_redis_of(live, cluster, world):
        return Redis(newest, newest, is_newest=True)
    is_newest, manifests = contains(live.get("spec"), newest["spec"]), recorded(live)
    if manifests is not None:
        return Redis(manifests[0], live, is_newest)
    if is_newest and made_of(live):  # its record was removed
        return Redis(newest, newest, is_newest)
    # Without a record nothing can be restored: return a manifest with the object's identity only.
    return Redis({**newest, "metadata": {"name": object_key(newest).name}, "spec": {}}, live, is_newest)


def with_redis(shared: Sequence[JsonObject], redis: Redis | None) -> tuple[JsonObject, ...]:
    """Return the shared manifests with the chosen StatefulSet."""
    return tuple(redis.manifest if redis and manifest["kind"] == "StatefulSet" else manifest for manifest in shared)


def is_unchanged(cluster: RealtimeCluster) -> bool:
    """Return True when the status shows that the spec is unchanged since the target revision was chosen."""
    status = cluster.status
    if status is None or status.target_revision is None or status.made_of is None:
        return False
    return status.made_of.generation == cluster.metadata.generation


def _made_before(cluster: RealtimeCluster, objects: Objects) -> list[str]:
    """Return the revisions of ReplicaSets that were made from the spec, the likeliest first."""
    live = {revision_of(item) or "": item for key, item in objects.items() if key.kind == "ReplicaSet"}
    status, wanted = cluster.status, servers_hash(cluster)
    noted = status is not None and status.made_of is not None and status.made_of.servers == wanted
    by_status = [status.target_revision or ""] if status is not None and (noted or is_unchanged(cluster)) else []
    newest_first = sorted(live, key=lambda name: text_at(live[name], "metadata", "creationTimestamp"), reverse=True)
    by_record = [name for name in newest_first if made_of(live[name]) == wanted]
    by_history = [entry.revision for entry in history.entries(cluster) if _is_of(entry, cluster)]
    return [name for name in (*by_status, *by_record, *by_history) if name in live]


def _is_of(entry: RevisionRecord, cluster: RealtimeCluster) -> bool:
    """Return True when a revision in the history was made from the spec."""
    spec = history.recorded_spec(entry, cluster.spec)
    return spec is not None and servers_hash(cluster.model_copy(update={"spec": spec})) == servers_hash(cluster)


def _is_redis_of(live: JsonObject, cluster: RealtimeCluster, world: World) -> bool:
    """Return True when a StatefulSet was made from the spec.

    One of an earlier release has the checksum of its password, which it reads at its start only.
    """
    managed, checksum = cluster.spec.backplane.managed, redis_checksum(cluster, world)
    there = text_at(live, "spec", "template", "metadata", "annotations", naming.ANNOTATION_CHECKSUM)
    if managed is None or checksum is None or there not in {"", checksum[:16]}:
        return False
    wanted, made, status = {redis_hash(managed), redis_hash(managed, checksum)}, made_of(live), cluster.status
    if made in wanted:
        return True
    noted = status.made_of.redis if status is not None and status.made_of is not None else None
    if made:
        # A changed default of the API is no change of the spec; a change whose trial is running has been noted.
        return noted == made and is_unchanged(cluster)
    return noted in wanted or is_unchanged(cluster)  # its record was removed


def redis_checksum(cluster: RealtimeCluster, world: World) -> str | None:
    """Return the checksum of the managed Redis' password; None when there is none."""
    return world.secrets.get(naming.redis(cluster.metadata.name), {}).get(naming.KEY_REDIS_PASSWORD)


def _as_applied(name: str, live: JsonObject) -> Revision | None:
    manifests = recorded(live)
    return Revision(name, manifests[1], manifests[0]) if manifests is not None and len(manifests) > 1 else None


def _replica_set(cluster: RealtimeCluster, revision: str) -> ObjectKey:
    return ObjectKey("apps/v1", "ReplicaSet", naming.revision_object(cluster.metadata.name, revision))
