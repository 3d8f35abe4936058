"""A revision: one immutable configuration and pod template, named by their hash."""

from __future__ import annotations

from dataclasses import dataclass

from realtime_operator.api.base import JsonObject
from realtime_operator.builders import manifest


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision of a cluster. `name` is the hash; the objects are named `naming.revision_object(cluster, name)`."""

    name: str
    config_map: JsonObject
    template: JsonObject
    """The ReplicaSet without `spec.replicas`."""

    def replica_set(self, replicas: int) -> JsonObject:
        """The ReplicaSet with a number of pods, which is not part of its applied hash."""
        spec = manifest.object_of(self.template["spec"])
        return {**self.template, "spec": {"replicas": replicas, **spec}}
