"""Scenarios of pods that are set in full: what runs is what the spec says, and what would break is refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.cluster.environment import Environment
from tests.kit.deadline import eventually, stays
from tests.kit.document import dig, object_at, objects_at, text_at
from tests.kit.kube import condition, has_condition, name_of
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.live_cluster import LiveCluster
from tests.kit.running_cluster import manifest
from tests.kit.traffic import assert_nothing_lost, traffic

QUIET_SECONDS = 8.0
PRIORITY, RUNTIME = "e2e-realtime", "e2e-runc"
FILE = "/var/lib/files/greeting"
NAMED: JsonObject = {"name": "named", "configMap": {"name": "files"}}
MOUNT: JsonObject = {"name": "named", "mountPath": "/var/lib/files", "readOnly": True}
RESTRICTED: JsonObject = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
SPREAD: JsonObject = {"maxSkew": 2, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
AFFINITY: JsonObject = {
    "nodeAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [
                {"matchExpressions": [{"key": "kubernetes.io/os", "operator": "In", "values": ["linux"]}]}
            ]
        }
    }
}


def program(name: str, image: str, script: str, **fields: JsonValue) -> JsonObject:
    """Return a container that runs a script of the shell."""
    resources: JsonObject = {"requests": {"cpu": "1m", "memory": "8Mi"}, "limits": {"memory": "32768Ki"}}
    container: JsonObject = {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", script],
    }
    return {**container, "resources": resources, "securityContext": RESTRICTED, **fields}


def settings(image: str) -> JsonObject:
    """Return settings of a pod with every group of fields."""
    wait = "trap 'exit 0' TERM; while true; do sleep 0.2; done"
    shared: list[JsonValue] = [{"name": "shared", "mountPath": "/shared"}]
    return {
        "labels": {"team": "chat"},
        "annotations": {"example.com/owner": "team"},
        "env": [{"name": "REGION", "value": "vienna"}],
        "envFrom": [{"configMapRef": {"name": "environment"}}],
        "affinity": AFFINITY,
        "topologySpreadConstraints": [SPREAD],
        "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        "priorityClassName": PRIORITY,
        "runtimeClassName": RUNTIME,
        "serviceAccountName": "own",
        "securityContext": {"supplementalGroups": [4321]},
        "containerSecurityContext": {"readOnlyRootFilesystem": True},
        "volumes": [NAMED, {"name": "shared", "emptyDir": {"sizeLimit": "1024Ki"}}],
        "volumeMounts": [MOUNT, {"name": "shared", "mountPath": "/shared"}],
        "initContainers": [
            program("prepare", image, "echo prepared > /shared/file", volumeMounts=shared),
            program("proxy", image, wait, restartPolicy="Always"),
        ],
        "containers": [program("shipper", image, wait)],
        "template": {"spec": {"hostAliases": [{"ip": "10.9.8.7", "hostnames": ["backend.internal"]}]}},
    }


@pytest.fixture
async def surroundings(scenario: Scenario) -> AsyncIterator[Scenario]:
    """The objects that the pods refer to; those without a namespace are removed afterwards."""
    await scenario.kube.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "environment"}, "data": {"TIER": "gold"}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "files"}, "data": {"greeting": "hello"}},
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "own"}},
        {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": PRIORITY}, "value": 1234},
        {"apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": {"name": RUNTIME}, "handler": "runc"},
    )
    yield scenario
    await scenario.kube.kubectl("delete", f"priorityclass/{PRIORITY}", f"runtimeclass/{RUNTIME}", "--wait=false")


async def pod_of(scenario: Scenario, component: str) -> JsonObject:
    """Return the first running pod of a part of the cluster."""
    pods = await scenario.kube.list("pods", f"{naming.LABEL_CLUSTER}=main,{naming.LABEL_COMPONENT}={component}")
    return next(pod for pod in pods if dig(pod, "metadata", "deletionTimestamp") is None)


async def assert_is_as_set(scenario: Scenario, pod: JsonObject, container: str) -> None:
    """Assert that a running pod has what `settings` says, seen from within where that is possible."""
    kube, name = scenario.kube, name_of(pod)
    # Redis writes its title over the environment of its process.
    environment_of = ("env",) if container == "redis" else ("cat", "/proc/1/environ")
    environment, file, prepared, groups, hosts = await asyncio.gather(
        kube.kubectl("exec", name, "-c", container, "--", *environment_of),
        kube.kubectl("exec", name, "-c", container, "--", "cat", FILE),
        kube.kubectl("exec", name, "-c", container, "--", "cat", "/shared/file"),
        kube.kubectl("exec", name, "-c", container, "--", "cat", "/proc/1/status"),
        kube.kubectl("exec", name, "-c", container, "--", "cat", "/etc/hosts"),
    )
    assert {"REGION=vienna", "TIER=gold"} <= set(environment.replace("\0", "\n").split("\n"))
    assert (file.strip(), prepared.strip()) == ("hello", "prepared")
    assert "4321" in next(line for line in groups.splitlines() if line.startswith("Groups:"))
    assert "10.9.8.7\tbackend.internal" in hosts
    spec = object_at(pod, "spec")
    assert (spec["priority"], spec["priorityClassName"], spec["runtimeClassName"]) == (1234, PRIORITY, RUNTIME)
    assert spec["serviceAccountName"] == "own"
    assert spec["affinity"] == AFFINITY
    assert [dig(item, "maxSkew") for item in objects_at(spec, "topologySpreadConstraints")] == [2]
    assert dig(pod, "metadata", "labels", "team") == "chat"
    assert dig(pod, "metadata", "annotations", "example.com/owner") == "team"
    states = {
        text_at(status, "name"): next(iter(object_at(status, "state")))
        for kind in ("containerStatuses", "initContainerStatuses")
        for status in objects_at(pod, "status", kind)
    }
    assert states == {container: "running", "shipper": "running", "prepare": "terminated", "proxy": "running"}


async def test_pods_are_as_the_spec_says(surroundings: Scenario, environment: Environment) -> None:
    """Every group of settings is seen in running pods; a rollout of pods with sidecars loses nothing."""
    scenario, cluster = surroundings, surroundings.cluster()
    pod = settings(environment.server_image)
    redis: JsonObject = {"redis": {"managed": {"pod": settings(environment.redis_image)}}}
    common: JsonObject = {"labels": {"cost-center": "4711"}, "annotations": {"example.com/contact": "chat-team"}}
    await cluster.apply(
        manifest(
            "main", replicas=1, pod=pod, backplane=redis, commonMetadata=common,
            server={"logging": {"level": "Debug", "format": "Text"}},
            disruptionBudget={"minAvailable": 1, "unhealthyPodEvictionPolicy": "IfHealthyBudget"},
        )
    )  # fmt: skip
    await cluster.wait_ready(within=120)
    server = await pod_of(scenario, naming.COMPONENT_SERVER)
    await assert_is_as_set(scenario, server, "server")
    await assert_is_as_set(scenario, await pod_of(scenario, naming.COMPONENT_REDIS), "redis")
    log = await scenario.kube.logs(name_of(server), "server")
    assert "[info" in log, "the log is text"
    budget = (await scenario.kube.list("poddisruptionbudgets"))[0]
    assert (dig(budget, "spec", "minAvailable"), dig(budget, "spec", "maxUnavailable")) == (1, None)
    for kind in ("services", "configmaps", "secrets", "replicasets", "statefulsets", "poddisruptionbudgets"):
        for item in await scenario.kube.list(kind, f"{naming.LABEL_CLUSTER}=main"):
            assert dig(item, "metadata", "labels", "cost-center") == "4711", name_of(item)
            assert dig(item, "metadata", "annotations", "example.com/contact") == "chat-team", name_of(item)
    async with traffic(cluster) as running:
        await cluster.patch(pod={**pod, "env": [{"name": "REGION", "value": "graz"}]})
        await cluster.wait_ready(within=120)
        await assert_nothing_lost(running)
    replaced = await pod_of(scenario, naming.COMPONENT_SERVER)
    assert name_of(replaced) != name_of(server)
    text = await scenario.kube.kubectl("exec", name_of(replaced), "-c", "server", "--", "cat", "/proc/1/environ")
    assert "REGION=graz" in text.split("\0")
    await assert_settles(cluster)


async def assert_settles(cluster: LiveCluster) -> None:
    """Assert that nothing is written in the end: the API server returns the pods as the operator has written them."""
    seen: object = None
    since = time.monotonic()

    async def quiet_for() -> float:
        nonlocal seen, since
        before, seen = seen, await cluster.writes()
        if seen != before:
            since = time.monotonic()
        return time.monotonic() - since

    await eventually(quiet_for, lambda seconds: seconds > QUIET_SECONDS, what="nothing written", within=60)


@pytest.mark.parametrize(
    ("pod", "path"),
    [
        (
            {"template": {"spec": {"containers": [{"name": "server", "lifecycle": {"$patch": "delete"}}]}}},
            "spec.pod.template.spec.containers[0].lifecycle",
        ),
        ({"template": {"spec": {"dnsPolicy": "Nowhere"}}}, "spec.pod.template.spec.dnsPolicy"),
    ],
    ids=["broken", "invalid"],
)
async def test_a_pod_that_cannot_be_is_refused_with_its_path(scenario: Scenario, pod: JsonObject, path: str) -> None:
    """The operator or the API server refuses it; the servers stay, and a correction is taken."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready()
    names = {server.name for server in await cluster.servers()}
    await cluster.patch(pod=pod)
    refused = await cluster.wait(lambda o: has_condition(o, "Accepted", "False"), what="Accepted=False", within=30)
    assert path in text_at(condition(refused, "Accepted"), "message")
    await stays(cluster.servers, lambda now: {s.name for s in now} == names, what="the same servers", during=1)
    assert len(await scenario.kube.list("replicasets")) == 1
    assert path in await scenario.kube.kubectl("describe", "rtc", "main")
    await cluster.patch(pod=None)
    await cluster.wait(lambda o: has_condition(o, "Accepted"), what="accepted again", within=30)
    assert {server.name for server in await cluster.servers()} == names
