"""Where a real kube-scheduler puts the pods of a cluster, on nodes of three zones that exist by name alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import build_revision
from realtime_operator.builders.redis.stateful_set import build_redis_stateful_set
from tests.kit.apiserver import ApiServer
from tests.kit.deadline import eventually
from tests.kit.document import object_at, objects_at, text_at
from tests.kit.manifests import SETTINGS, UID, with_redis_password

ZONES = ("a", "b", "c")
ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"
NODES = {f"{zone}{number}": zone for zone in ZONES for number in range(2)}
LARGE = "a0"
"""Node with much more room than the others: what has no preference goes there."""
FAILOVER: JsonObject = {"backplane": {"redis": {"managed": {"mode": "Failover"}}}}


@pytest.fixture(scope="module")
def scheduling() -> Iterator[ApiServer]:
    """An API server with a scheduler and nodes."""
    with ApiServer() as server:
        for name, zone in NODES.items():
            add_node(server, name, zone)
        server.start_scheduler()
        yield server


@pytest.fixture
def namespace(scheduling: ApiServer) -> str:
    """A namespace of this test alone, on the API server that has a scheduler."""
    made = scheduling.call("POST", "/api/v1/namespaces", {"metadata": {"generateName": "scheduling-"}})
    return text_at(made, "metadata", "name")


def add_node(server: ApiServer, name: str, zone: str) -> None:
    """Write a node that is ready, without a kubelet."""
    size = 8 if name == LARGE else 1
    room: JsonObject = {"cpu": f"{size * 4}", "memory": f"{size * 16}Gi", "pods": "110"}
    server.call("POST", "/api/v1/nodes", {
        "metadata": {"name": name, "labels": {HOST: name, ZONE: zone}},
        "status": {"capacity": room, "allocatable": room, "conditions": [{"type": "Ready", "status": "True"}]},
    })  # fmt: skip
    server.call("PATCH", f"/api/v1/nodes/{name}", {"spec": {"taints": []}})  # that of a node that is not ready yet


def cluster_in(namespace: str, spec: JsonObject) -> RealtimeCluster:
    """Return a cluster in a namespace."""
    metadata: JsonObject = {"name": "main", "namespace": namespace, "uid": UID}
    return RealtimeCluster.from_object({"metadata": metadata, "spec": spec})


def server_template(cluster: RealtimeCluster) -> JsonObject:
    """Return the template of the servers' pods."""
    return object_at(build_revision(cluster, SETTINGS).template, "spec", "template")


def redis_template(cluster: RealtimeCluster) -> JsonObject:
    """Return the template of the pods of Redis."""
    manifest = build_redis_stateful_set(cluster, SETTINGS, with_redis_password(cluster))
    assert manifest is not None
    return object_at(manifest, "spec", "template")


def without_preference(template: JsonObject) -> JsonObject:
    """Return the template of pods that may be anywhere."""
    spec = {
        key: value
        for key, value in object_at(template, "spec").items()
        if key not in {"affinity", "topologySpreadConstraints"}
    }
    return {**template, "spec": spec}


async def places(server: ApiServer, namespace: str, template: JsonObject, count: int) -> list[str]:
    """Make pods one by one, as controllers do, and return the node of each; "" for one that fits nowhere."""
    return [await _place(server, namespace, template, number) for number in range(count)]


async def _place(server: ApiServer, namespace: str, template: JsonObject, number: int) -> str:
    name = f"pod-{number}"
    metadata: JsonObject = {**object_at(template, "metadata"), "name": name}
    path = f"/api/v1/namespaces/{namespace}/pods"
    server.call("POST", path, {"metadata": metadata, "spec": object_at(template, "spec")})

    async def read() -> JsonObject:
        return server.call("GET", f"{path}/{name}")

    found = await eventually(read, is_decided, what=f"{name} is scheduled", within=60)
    return text_at(found, "spec", "nodeName")


def is_decided(pod: JsonObject) -> bool:
    """Return True when the scheduler has found a node for the pod, or has said that there is none."""
    return bool(text_at(pod, "spec", "nodeName")) or any(
        text_at(condition, "reason") == "Unschedulable" for condition in objects_at(pod, "status", "conditions")
    )


def zones_of(nodes: Sequence[str]) -> list[int]:
    """Return the number of pods in each zone."""
    counted = Counter(NODES[node] for node in nodes)
    return [counted[zone] for zone in ZONES]


async def test_servers_spread_over_zones_and_nodes(scheduling: ApiServer, namespace: str) -> None:
    """Two of six in each zone, each on a node of its own, though one node has much more room than all others."""
    template = server_template(cluster_in(namespace, {}))
    found = await places(scheduling, namespace, template, len(NODES))
    assert zones_of(found) == [2, 2, 2]
    assert set(found) == NODES.keys()


async def test_redis_pods_are_on_different_nodes(scheduling: ApiServer, namespace: str) -> None:
    """The loss of a node leaves a majority of the sentinels, though one node has much more room than all others."""
    found = await places(scheduling, namespace, redis_template(cluster_in(namespace, FAILOVER)), 3)
    assert len(set(found)) == 3


@pytest.mark.parametrize("template", [server_template, redis_template])
async def test_without_a_preference_they_would_share_a_node(
    scheduling: ApiServer, namespace: str, template: Callable[[RealtimeCluster], JsonObject]
) -> None:
    """The nodes of these tests separate no pods by themselves."""
    made = without_preference(template(cluster_in(namespace, FAILOVER)))
    assert set(await places(scheduling, namespace, made, 3)) == {LARGE}


async def test_constraints_of_the_spec_replace_the_default_ones(scheduling: ApiServer, namespace: str) -> None:
    """A constraint without a selector is about the pods of its own kind; one that cannot be kept leaves a pod out."""
    per_zone: JsonObject = {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule", "minDomains": 3}
    only: JsonObject = {"topologySpreadConstraints": [per_zone], "nodeSelector": {HOST: LARGE}}
    found = await places(scheduling, namespace, server_template(cluster_in(namespace, {"pod": only})), 2)
    assert found == [LARGE, ""]


async def test_constraints_of_redis_spread_it_over_zones(scheduling: ApiServer, namespace: str) -> None:
    """By default its pods avoid each other's nodes; a constraint lets each have a zone."""
    per_zone: JsonObject = {"maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule"}
    managed: JsonObject = {"mode": "Failover", "pod": {"topologySpreadConstraints": [per_zone]}}
    template = redis_template(cluster_in(namespace, {"backplane": {"redis": {"managed": managed}}}))
    assert zones_of(await places(scheduling, namespace, template, 3)) == [1, 1, 1]
