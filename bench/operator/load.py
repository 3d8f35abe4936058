"""Objects in the API server during the measurement: settled clusters, and objects of others."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.kit.apiserver import ApiServer
from tests.kit.document import objects_at, text_at

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.platforms.kubernetes.client import path_of

CLUSTERS_NAMESPACE = "settled"
FOREIGN_NAMESPACE = "foreign"
THREADS = 8


@dataclass(frozen=True, slots=True)
class Foreign:
    """Numbers and sizes of objects that do not concern the operator."""

    secrets: int
    secret_bytes: int
    pods: int


def make_namespaces(server: ApiServer) -> None:
    """Create both namespaces."""
    for name in (CLUSTERS_NAMESPACE, FOREIGN_NAMESPACE):
        server.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})


def make_clusters(server: ApiServer, count: int) -> None:
    """Create RealtimeClusters without servers, which settle without running pods."""
    path = path_of(naming.API_VERSION, naming.KIND, CLUSTERS_NAMESPACE)
    for number in range(count):
        metadata: JsonObject = {"name": f"c{number}"}
        body: JsonObject = {
            "apiVersion": naming.API_VERSION, "kind": naming.KIND, "metadata": metadata, "spec": {"replicas": 0},
        }  # fmt: skip
        server.call("POST", path, body)


def run_redis(server: ApiServer) -> int:
    """Report the managed Redis of every cluster as running, as its controller would; return the number of changes."""
    path = path_of("apps/v1", "StatefulSet", CLUSTERS_NAMESPACE)
    changed = 0
    for item in objects_at(server.call("GET", path), "items"):
        generation = item["metadata"]["generation"]  # type: ignore[index, call-overload] # always there
        status: JsonObject = {
            "observedGeneration": generation, "replicas": 1, "readyReplicas": 1, "currentReplicas": 1,
            "updatedReplicas": 1, "availableReplicas": 1, "currentRevision": "one", "updateRevision": "one",
        }  # fmt: skip
        before = item.get("status")
        if not isinstance(before, dict) or any(before.get(key) != value for key, value in status.items()):
            server.call("PATCH", f"{path}/{text_at(item, 'metadata', 'name')}/status", {"status": status})
            changed += 1
    return changed


def all_accepted(server: ApiServer) -> bool:
    """Return True when every cluster's status says that its spec is accepted."""
    path = path_of(naming.API_VERSION, naming.KIND, CLUSTERS_NAMESPACE)
    accepted = {"type": "Accepted", "status": "True"}
    return all(
        any(accepted.items() <= condition.items() for condition in objects_at(item, "status", "conditions"))
        for item in objects_at(server.call("GET", path), "items")
    )


def make_foreign(server: ApiServer, foreign: Foreign) -> None:
    """Create the foreign objects: Secrets with random bytes, and Pods of applications."""
    value = base64.b64encode(os.urandom(foreign.secret_bytes)).decode()
    secrets = path_of("v1", "Secret", FOREIGN_NAMESPACE)
    pods = path_of("v1", "Pod", FOREIGN_NAMESPACE)
    _in_parallel(
        lambda number: server.call("POST", secrets, {"metadata": {"name": f"s{number}"}, "data": {"value": value}}),
        range(foreign.secrets),
    )
    _in_parallel(lambda number: server.call("POST", pods, _pod(number)), range(foreign.pods))


def _in_parallel(call: Callable[[int], object], numbers: Iterable[int]) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(call, numbers):
            pass


def _pod(number: int) -> JsonObject:
    variables: list[JsonValue] = [{"name": f"VARIABLE_{n}", "value": "x" * 20} for n in range(20)]
    container: JsonObject = {"name": "application", "image": "localhost/application:1", "env": variables}
    labels: JsonObject = {"app": "application", "shard": str(number % 10)}
    return {"metadata": {"name": f"p{number}", "labels": labels}, "spec": {"containers": [container]}}
