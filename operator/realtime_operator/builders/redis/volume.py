"""The data volume of the managed Redis: a claim for a persistent one, or one of the pod's lifetime."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api import quantity
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_managed_redis import RedisPersistence
from realtime_operator.builders.manifest import component_labels

POD_VOLUME: JsonObject = {"name": naming.VOLUME_REDIS_DATA, "emptyDir": {}}
"""Volume of the pod's lifetime."""


def data_volumes(persistence: RedisPersistence | None) -> list[JsonValue]:
    """Return the data volume of the pod template; none with persistence, as the StatefulSet adds the claimed one."""
    return [POD_VOLUME] if persistence is None else []


def claim_fields(cluster: RealtimeCluster, persistence: RedisPersistence | None) -> JsonObject:
    """Return the fields of the StatefulSet about claims; empty without persistence."""
    if persistence is None:
        return {}
    storage_class = persistence.storage_class_name
    template: JsonObject = {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": naming.VOLUME_REDIS_DATA,
            "labels": component_labels(cluster, naming.COMPONENT_REDIS),
        },
        "spec": {
            "accessModes": ["ReadWriteOnce"],
            "resources": {"requests": {"storage": quantity.canonical(persistence.size)}},
            **({"storageClassName": storage_class} if storage_class is not None else {}),
        },
    }
    return {
        "volumeClaimTemplates": [template],
        "persistentVolumeClaimRetentionPolicy": {"whenDeleted": persistence.retention_policy, "whenScaled": "Retain"},
    }
