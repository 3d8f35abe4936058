"""Tests of the volumes of Redis with an API server, which decides about expansion; claims and pods are made here."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.platforms.kubernetes.client import path_of
from tests.apiserver.test_operator import create
from tests.kit.apiserver import ApiServer, RefusedError
from tests.kit.deadline import eventually
from tests.kit.document import objects_at, text_at
from tests.kit.operator_process import OperatorProcess

CLASS = "expandable"
SIZE = ("spec", "resources", "requests", "storage")


def persistent(size: str) -> JsonObject:
    """Return the backplane of a managed Redis with a volume of this size."""
    return {"redis": {"managed": {"persistence": {"size": size, "storageClassName": CLASS}}}}


def claim_volume(server: ApiServer, namespace: str, template: JsonObject) -> str:
    """Create the bound claim of the first pod, as the controllers do; return its path."""
    name = f"{text_at(template, 'metadata', 'name')}-main-redis-0"
    path = path_of("v1", "PersistentVolumeClaim", namespace)
    spec = template["spec"]
    assert isinstance(spec, dict)
    metadata: JsonObject = {"name": name, "labels": template["metadata"]["labels"]}  # type: ignore[call-overload, index] # objects
    made = server.call("POST", path, {**template, "metadata": metadata, "spec": {**spec, "volumeName": "volume-0"}})
    bound: JsonObject = {"phase": "Bound", "capacity": {"storage": text_at(made, *SIZE)}}
    server.call("PUT", f"{path}/{name}/status", {**made, "status": bound})
    return f"{path}/{name}"


async def test_a_volume_is_expanded_and_its_statefulset_replaced(api_server: ApiServer, namespace: str) -> None:
    """The pod's claim is patched, the StatefulSet is made anew without its pods; a smaller size is refused."""
    storage_class: JsonObject = {
        "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": CLASS},
        "provisioner": "example.com/none", "allowVolumeExpansion": True,
    }  # fmt: skip
    api_server.call("POST", "/apis/storage.k8s.io/v1/storageclasses", storage_class)
    cluster = path_of(naming.API_VERSION, naming.KIND, namespace, "main")
    stateful_set = path_of("apps/v1", "StatefulSet", namespace, "main-redis")

    async def read(path: str) -> JsonObject:
        try:
            return api_server.call("GET", path)
        except RefusedError:
            return {}

    async def now(path: str = stateful_set) -> JsonObject:
        return await read(path)

    async with OperatorProcess(api_server, namespace, watch_namespaces=namespace, resync_seconds=2) as operator:
        await operator.wait_ready()
        create(api_server, namespace, backplane=persistent("1Gi"))
        first = await eventually(now, bool, what="a StatefulSet", within=20)
        (template,) = objects_at(first, "spec", "volumeClaimTemplates")
        claim = claim_volume(api_server, namespace, template)
        api_server.call("PATCH", cluster, {"spec": {"backplane": persistent("2Gi")}})
        await eventually(lambda: read(claim), lambda o: text_at(o, *SIZE) == "2Gi", what="expansion", within=15)
        going = await eventually(
            now, lambda o: bool(text_at(o, "metadata", "deletionTimestamp")), what="deletion", within=15
        )
        assert going["metadata"]["finalizers"] == ["orphan"]  # type: ignore[call-overload, index] # an object
        api_server.call("PATCH", stateful_set, {"metadata": {"finalizers": None}})
        uid = text_at(first, "metadata", "uid")
        second = await eventually(now, lambda o: text_at(o, "metadata", "uid") not in {"", uid}, what="it", within=15)
        (template,) = objects_at(second, "spec", "volumeClaimTemplates")
        assert text_at(template, *SIZE) == "2Gi"
        api_server.call("PATCH", cluster, {"spec": {"backplane": persistent("1Gi")}})

        async def refused() -> str:
            conditions = objects_at(await read(cluster), "status", "conditions")
            return next((text_at(c, "message") for c in conditions if c["type"] == "Accepted"), "")

        await eventually(refused, lambda message: "has 2Gi and cannot shrink" in message, what="refusal", within=15)
        assert text_at(await now(), "metadata", "uid") == text_at(second, "metadata", "uid")
        assert "Traceback" not in operator.log()
