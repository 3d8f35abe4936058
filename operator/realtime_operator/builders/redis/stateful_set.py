"""The StatefulSet of the managed Redis: one pod, or three with failover.

Each pod has an append-only file, on a volume of the pod's lifetime or on a persistent one. A restart of the container
keeps the data. When a pod alone without a persistent volume is replaced, histories are lost, and servers report that to
clients.
"""

from __future__ import annotations

from collections.abc import Mapping

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.manifest import component_labels, component_selector, metadata
from realtime_operator.builders.pods.pod_settings import with_settings
from realtime_operator.builders.record import redis_hash, with_record
from realtime_operator.builders.redis.failover_script import PODS
from realtime_operator.builders.redis.pod import redis_pod
from realtime_operator.builders.redis.volume import claim_fields
from realtime_operator.builders.settings import BuildSettings


def build_redis_stateful_set(
    cluster: RealtimeCluster, settings: BuildSettings, secrets: Mapping[str, Mapping[str, str]]
) -> JsonObject | None:
    """Build the StatefulSet; None when an external Redis is used, or while its password does not exist.

    `secrets` maps each existing Secret to the SHA-256 of its values. A changed password is taken by the running pod.
    """
    managed = cluster.spec.backplane.managed
    name = naming.redis(cluster.metadata.name)
    if managed is None or naming.KEY_REDIS_PASSWORD not in secrets.get(name, {}):
        return None
    manifest: JsonObject = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(cluster, name, naming.COMPONENT_REDIS),
        "spec": {
            **_size(cluster),
            "selector": {"matchLabels": component_selector(cluster, naming.COMPONENT_REDIS)},
            "template": with_settings(
                {
                    "metadata": {"labels": component_labels(cluster, naming.COMPONENT_REDIS)},
                    "spec": redis_pod(cluster, managed, settings),
                },
                managed.pod,
                component_selector(cluster, naming.COMPONENT_REDIS),
            ),
            **claim_fields(cluster, managed.persistence),
        },
    }
    return with_record(manifest, redis_hash(managed), settings)


def _size(cluster: RealtimeCluster) -> JsonObject:
    """Return the number of pods and what their host names come from.

    With failover all pods start at once: any of them may be the primary that the others wait for. A pod alone has the
    same host name, by which others become its replicas when the mode changes.
    """
    service = naming.redis_nodes(cluster.metadata.name)
    names: JsonObject = {"serviceName": service, "podManagementPolicy": "Parallel"}
    if not cluster.spec.backplane.has_failover:
        return {"replicas": 1, **names}
    update: JsonObject = {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    return {"replicas": PODS, **names, "updateStrategy": update}
