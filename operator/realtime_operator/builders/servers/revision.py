"""A revision: one immutable configuration and pod template, named by their hash."""

from __future__ import annotations

from dataclasses import dataclass

from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.configuration.config_map import build_config_map, server_config
from realtime_operator.builders.manifest import object_of, short_hash
from realtime_operator.builders.record import servers_hash, with_record
from realtime_operator.builders.servers.replica_set import build_replica_set, pod_template
from realtime_operator.builders.settings import BuildSettings

UNNAMED = ""
"""Placeholder for the name in the template that the name is computed from."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision of a cluster. `name` is its hash; its objects are named `naming.revision_object(cluster, name)`."""

    name: str
    config_map: JsonObject
    template: JsonObject
    """The ReplicaSet without `spec.replicas`."""

    def replica_set(self, replicas: int) -> JsonObject:
        """Return the ReplicaSet with a number of pods, which is not part of its applied hash."""
        return {**self.template, "spec": {"replicas": replicas, **object_of(self.template["spec"])}}


def build_revision(cluster: RealtimeCluster, settings: BuildSettings) -> Revision:
    """Build the revision that the spec asks for.

    Its name is a hash of the server's configuration and the pod template alone. The number of servers, the way they are
    replaced (beyond the drain settings of the pod) and the values of Secrets do not change it.
    """
    name = short_hash([server_config(cluster), pod_template(cluster, settings, UNNAMED)])
    config_map = build_config_map(cluster, name)
    replica_set = build_replica_set(cluster, settings, name)
    return Revision(name, config_map, with_record(replica_set, servers_hash(cluster), settings, (config_map,)))
