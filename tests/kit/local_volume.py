"""A PersistentVolume on this machine, for a cluster without a provisioner."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator

from realtime_operator.api.base import JsonObject
from tests.kit.kube import Kube


@contextlib.asynccontextmanager
async def local_volumes(kube: Kube, count: int = 1, size: str = "1Gi") -> AsyncIterator[str]:
    """Provide volumes for claims of a storage class, whose name is returned, while the body runs.

    The node must be this machine.
    """
    name = f"local-{kube.namespace}"
    label = r"{.items[0].metadata.labels.kubernetes\.io/hostname}"
    host = await kube.kubectl("get", "nodes", "-o", f"jsonpath={label}")
    with contextlib.ExitStack() as folders:
        volumes = [
            _volume(
                f"{name}-{number}",
                name,
                size,
                folders.enter_context(tempfile.TemporaryDirectory(prefix="redis-volume-", ignore_cleanup_errors=True)),
                host,
            )
            for number in range(count)
        ]
        await kube.apply(*volumes)
        try:
            yield name
        finally:
            await kube.kubectl("delete", "persistentvolume", *(f"{name}-{n}" for n in range(count)), "--wait=false")


def _volume(name: str, storage_class: str, size: str, folder: str, host: str) -> JsonObject:
    affinity: JsonObject = {"key": "kubernetes.io/hostname", "operator": "In", "values": [host]}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": name},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "storageClassName": storage_class,
            "local": {"path": folder},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [affinity]}]}},
        },
    }
