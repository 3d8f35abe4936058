"""Tests of the settings of pods with a real API server: patches, canonical values, and what it refuses."""

from __future__ import annotations

import json
import subprocess

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import build_revision, build_shared
from realtime_operator.builders.pods.strategic_merge import strategic_merge
from realtime_operator.builders.servers.replica_set import base_template
from realtime_operator.planning.model.difference import contains
from realtime_operator.planning.model.world import World
from realtime_operator.platforms.kubernetes.client import KubernetesClient, path_of
from realtime_operator.platforms.kubernetes.dry_run import DryRun
from tests.kit.apiserver import ApiServer
from tests.kit.cluster.layout import Layout
from tests.kit.deadline import eventually
from tests.kit.document import object_at, objects_at, parse, text_at
from tests.kit.manifests import SETTINGS, UID, with_redis_password
from tests.kit.operator_process import OperatorProcess
from tests.kit.shown_examples import Example
from tests.kit.spec_leaves import used_specs
from tests.unit.docs.test_examples import SHOWN

REPLICA_SETS = ("apps/v1", "ReplicaSet")
IMAGE = "registry.example.com/a:1"


def cluster_in(namespace: str, spec: JsonObject) -> RealtimeCluster:
    """Return a cluster in a namespace."""
    metadata: JsonObject = {"name": "main", "namespace": namespace, "uid": UID}
    return RealtimeCluster.from_object({"metadata": metadata, "spec": spec})


def replica_set(name: str, template: JsonObject) -> JsonObject:
    """Return a ReplicaSet without pods."""
    labels = object_at(template, "metadata", "labels")
    spec: JsonObject = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": name}, "spec": spec}


def items(*given: JsonValue) -> list[JsonValue]:
    """Return a list of JSON values."""
    return [*given]


PATCHES: tuple[JsonObject, ...] = (
    {"hostNetwork": True, "dnsPolicy": "ClusterFirstWithHostNet"},
    {"securityContext": {"runAsUser": 7}},
    {"securityContext": {"$patch": "replace", "runAsUser": 7}},
    {"securityContext": {"$patch": "delete"}},
    {"affinity": {"$patch": "delete"}},
    {"containers": items({"name": "server", "image": "other:1"})},
    {"containers": items({"name": "a", "image": IMAGE}, {"name": "b", "image": IMAGE})},
    {"containers": items({"name": "b", "image": IMAGE}, {"name": "server", "tty": True}, {"name": "a", "image": IMAGE})},  # noqa: E501
    {"containers": items({"name": "server", "env": items({"name": "B", "value": "9"}, {"name": "REALTIME_REVISION", "$patch": "delete"})})},  # noqa: E501
    {"containers": items({"name": "server", "env": items({"$patch": "replace"}, {"name": "B", "value": "9"})})},
    {"containers": items({"name": "server", "ports": items({"containerPort": 8001, "name": "renamed"}, {"containerPort": 9000})})},  # noqa: E501
    {"containers": items({"name": "server", "ports": items({"containerPort": 8001, "$patch": "delete"})})},
    {"containers": items({"name": "server", "args": items("a", "b"), "lifecycle": {"$patch": "delete"}})},
    {"containers": items({"name": "server", "volumeMounts": items({"mountPath": "/tmp", "name": "tmp", "subPath": "a"})})},  # noqa: S108, E501
    {"containers": items({"name": "server", "livenessProbe": {"periodSeconds": 33}, "resources": {"limits": {"cpu": "2"}}})},  # noqa: E501
    {"volumes": items({"name": "tmp", "emptyDir": {"medium": "", "sizeLimit": "1Gi"}}, {"name": "x", "emptyDir": {}})},
    {"volumes": items({"name": "tmp", "$patch": "delete"}, {"name": "tmp", "emptyDir": {}})},
    {"tolerations": items({"key": "a", "operator": "Exists"})},
    {"topologySpreadConstraints": items({"topologyKey": "kubernetes.io/hostname", "maxSkew": 3})},
    {"topologySpreadConstraints": items({"topologyKey": "rack", "maxSkew": 1, "whenUnsatisfiable": "DoNotSchedule"})},
    {"hostAliases": items({"ip": "10.0.0.1", "hostnames": items("a")})},
    {"imagePullSecrets": items({"name": "one"})},
    {"initContainers": items({"name": "i", "image": IMAGE, "restartPolicy": "Always"})},
    {"dnsConfig": {"options": items({"name": "ndots", "value": "1"})}, "overhead": {"$patch": "delete"}},
)  # fmt: skip


@pytest.mark.parametrize("patch", PATCHES, ids=lambda patch: json.dumps(patch)[:60])
def test_a_patch_gives_what_kubectl_patch_gives(api_server: ApiServer, namespace: str, patch: JsonObject) -> None:
    """The API server merges the same patch into the same ReplicaSet."""
    base = base_template(cluster_in(namespace, {}), SETTINGS, "r")
    collection = path_of(*REPLICA_SETS, namespace)
    api_server.call("POST", collection, replica_set("theirs", base))
    command = [
        str(Layout().programs / "kubectl"), "--kubeconfig", str(api_server.kubeconfig()), "--namespace", namespace,
        "patch", "rs", "theirs", "--type=strategic", "--patch", json.dumps({"spec": {"template": {"spec": patch}}}),
        "--output", "json",
    ]  # fmt: skip
    patched = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert patched.returncode == 0, patched.stderr
    ours = strategic_merge(base, {"spec": patch})
    made = api_server.call("POST", collection, replica_set("ours", ours))
    assert object_at(made, "spec", "template") == object_at(parse(patched.stdout), "spec", "template")


ZEROS: JsonObject = {
    "volumes": items(
        {"name": "a", "emptyDir": {"sizeLimit": "1024Mi", "medium": ""}},
        {"name": "b", "nfs": {"server": "s", "path": "/", "readOnly": False}},
        {"name": "c", "hostPath": {"path": "/", "type": ""}},
        {"name": "d", "csi": {"driver": "x.example.com", "readOnly": False, "volumeAttributes": {"a": ""}}},
        {"name": "e", "projected": {"sources": items({"configMap": {"name": "x", "items": items(), "optional": False}})}},  # noqa: E501
        {"name": "f", "ephemeral": {"volumeClaimTemplate": {"metadata": {"labels": {}}, "spec": {
            "accessModes": items("ReadWriteOnce"), "storageClassName": "", "resources": {"requests": {"storage": "1024Mi"}},  # noqa: E501
        }}}},
        {"name": "g", "downwardAPI": {"items": items({"path": "cpu", "resourceFieldRef": {
            "containerName": "server", "resource": "limits.cpu", "divisor": "1000m"}})}},
    ),
    "env": items(
        {"name": "A", "value": ""},
        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "y", "optional": False}}},
        {"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1024Ki"}}},
    ),
    "envFrom": items({"prefix": "", "secretRef": {"name": "x", "optional": False}}),
    "volumeMounts": items({"name": "a", "mountPath": "/a", "readOnly": False, "subPath": ""}),
    "securityContext": {"supplementalGroups": items(), "sysctls": items(), "runAsNonRoot": False, "runAsUser": 0},
    "containerSecurityContext": {"privileged": False, "readOnlyRootFilesystem": False, "capabilities": {"add": items()}},  # noqa: E501
    "affinity": {"podAffinity": {}, "nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": items(
        {"weight": 1, "preference": {"matchExpressions": items({"key": "a", "operator": "Exists", "values": items()})}})}},  # noqa: E501
    "containers": items({
        "name": "a", "image": IMAGE, "stdin": False, "tty": False, "command": items(), "workingDir": "",
        "resources": {"limits": {"cpu": 0.5, "memory": "0.5Gi", "ephemeral-storage": "1e3"}, "requests": {}},
        "ports": items({"containerPort": 1, "hostPort": 0, "name": ""}),
        "readinessProbe": {"initialDelaySeconds": 0, "timeoutSeconds": 0, "httpGet": {"port": "x", "path": "", "httpHeaders": items({"name": "a", "value": ""})}},  # noqa: E501
        "lifecycle": {"preStop": {"sleep": {"seconds": 0}}},
    }),
    "initContainers": items({"name": "i", "image": IMAGE, "restartPolicy": "Always", "startupProbe": {"grpc": {"port": 1, "service": ""}}}),  # noqa: E501
    "template": {"metadata": {"annotations": {"example.com/empty": ""}, "labels": {}}, "spec": {
        "hostNetwork": False, "hostPID": False, "shareProcessNamespace": False, "nodeName": "", "hostAliases": items(),
        "readinessGates": items(), "enableServiceLinks": False, "dnsConfig": {"nameservers": items()}, "nodeSelector": {},  # noqa: E501
    }},
}  # fmt: skip


@pytest.mark.parametrize("spec", [*used_specs(), {"pod": ZEROS}])
async def test_the_api_server_rewrites_nothing(
    api_server: ApiServer, namespace: str, operator_client: KubernetesClient, spec: JsonObject
) -> None:
    """What it would return otherwise would be applied for ever; every field is known to it, and valid."""
    cluster = cluster_in(namespace, spec)
    assert await DryRun(operator_client).refused(cluster, World({}, ())) == ()
    revision = build_revision(cluster, SETTINGS)
    shared = build_shared(cluster, SETTINGS, with_redis_password(cluster))
    manifests = [revision.replica_set(0), *(item for item in shared if item["kind"] == "StatefulSet")]
    for manifest in manifests:
        kind = text_at(manifest, "kind")
        live = api_server.call("POST", path_of("apps/v1", kind, namespace), manifest)
        assert contains(live, manifest), differences(live, manifest)


def differences(live: JsonValue, wanted: JsonValue, path: str = "") -> list[str]:
    """Return where a live object lacks values of its manifest."""
    if isinstance(wanted, dict):
        found = live if isinstance(live, dict) else {}
        return [line for key, value in wanted.items() for line in differences(found.get(key), value, f"{path}.{key}")]
    if isinstance(wanted, list) and isinstance(live, list) and len(live) == len(wanted):
        pairs = enumerate(zip(live, wanted, strict=True))
        return [line for index, (left, right) in pairs for line in differences(left, right, f"{path}[{index}]")]
    return [] if contains(live, wanted) else [f"{path}: {live} is not {wanted}"]


REFUSED: tuple[tuple[JsonObject, str, str], ...] = (
    ({"env": [{"name": "A=B", "value": "x"}]}, "spec.pod.env[0].name", "Invalid value"),
    ({"env": [{"name": "A", "value": 1}]}, "spec.pod", "must be of type string"),
    ({"volumes": [{"name": "a", "emptyDir": {}, "hostPath": {"path": "/"}}]}, "spec.pod.volumes[0].hostPath", "Forbidden"),  # noqa: E501
    ({"volumes": [{"name": "a", "emptydir": {}}]}, "spec.pod.volumes[0].emptydir", "is not a known field"),
    ({"volumeMounts": [{"name": "none", "mountPath": "/a"}]}, "spec.pod.volumeMounts[0].name", "Not found"),
    ({"initContainers": [{"name": "A", "image": IMAGE}]}, "spec.pod.initContainers[0].name", "Invalid value"),
    ({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": []}}}}, "spec.pod.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms", "Required value"),  # noqa: E501
    ({"topologySpreadConstraints": [{"topologyKey": "a", "maxSkew": 0, "whenUnsatisfiable": "DoNotSchedule"}]}, "spec.pod.topologySpreadConstraints[0].maxSkew", "greater than zero"),  # noqa: E501
    ({"securityContext": {"runAsUser": -1}}, "spec.pod.securityContext.runAsUser", "Invalid value"),
    ({"containerSecurityContext": {"privileged": True}}, "spec.pod.containerSecurityContext.privileged", "Forbidden"),
    ({"template": {"spec": {"dnsPolicy": "Nowhere"}}}, "spec.pod.template.spec.dnsPolicy", "Unsupported value"),
    ({"template": {"spec": {"restartPolicy": "Never"}}}, "spec.pod.template.spec.restartPolicy", "Unsupported value"),
    ({"template": {"spec": {"tolerationz": [{"key": "a"}]}}}, "spec.pod.template.spec.tolerationz", "is not a known field"),  # noqa: E501
    ({"template": {"metadata": {"labels": {"a": "not valid"}}}}, "spec.pod.template.metadata.labels", "a valid label"),
)  # fmt: skip


@pytest.mark.parametrize(("pod", "path", "message"), REFUSED, ids=lambda v: v if isinstance(v, str) else "")
async def test_what_the_api_server_refuses_has_its_path_in_the_spec(
    api_server: ApiServer, namespace: str, operator_client: KubernetesClient, pod: JsonObject, path: str, message: str
) -> None:
    """The operator's permissions are enough to ask; nothing is stored, for servers or for Redis."""
    found = await DryRun(operator_client).refused(cluster_in(namespace, {"pod": pod}), World({}, ()))
    assert [finding.path for finding in found][:1] == [path], found
    assert message in found[0].message
    redis: JsonObject = {"backplane": {"redis": {"managed": {"pod": pod}}}}
    prefix = "spec.backplane.redis.managed.pod"
    found = await DryRun(operator_client).refused(cluster_in(namespace, redis), World({}, ()))
    assert [finding.path for finding in found][:1] == [path.replace("spec.pod", prefix, 1)], found
    for kind in ("ReplicaSet", "StatefulSet"):
        assert objects_at(api_server.call("GET", path_of("apps/v1", kind, namespace)), "items") == []


@pytest.mark.parametrize("example", SHOWN, ids=[example.place for example in SHOWN])
async def test_pods_in_the_documentation_are_accepted(
    namespace: str, operator_client: KubernetesClient, example: Example
) -> None:
    """Every field of pods that a guide shows is one that the API server knows."""
    cluster = cluster_in(namespace, object_at(example.document, "spec"))
    assert await DryRun(operator_client).refused(cluster, World({}, ())) == ()


async def test_it_is_asked_once_and_only_where_needed(namespace: str, operator_client: KubernetesClient) -> None:
    """Answers are remembered, refusals for a while; pods that exist already are not asked about."""
    now = 0.0
    answers: list[tuple[str, str]] = []
    operator_client.answered = lambda method, path, _: answers.append((method, path))
    dry_run = DryRun(operator_client, clock=lambda: now)
    asked: list[str] = []

    async def count(path: str, document: JsonObject) -> None:
        asked.append(text_at(document, "kind"))
        await KubernetesClient.try_to_create(operator_client, path, document)

    operator_client.try_to_create = count  # type: ignore[method-assign] # counts real requests
    good, bad = (cluster_in(namespace, {"pod": {"env": [{"name": name}]}}) for name in ("A", "A=B"))
    for cluster in (good, good, bad, bad, cluster_in(namespace, {})):
        await dry_run.refused(cluster, World({}, ()))
    assert asked == ["ReplicaSet", "ReplicaSet"]
    now = 61.0
    assert await dry_run.refused(bad, World({}, ())) != ()
    assert len(asked) == 3
    assert answers == [], "what was not stored is no answer for the store"


async def test_refusals_about_something_else_are_left_to_the_write(operator_client: KubernetesClient) -> None:
    """A namespace that is missing says nothing about the spec."""
    cluster = cluster_in("none-such", {"pod": {"env": [{"name": "A=B"}]}})
    assert await DryRun(operator_client).refused(cluster, World({}, ())) == ()


async def test_a_refused_pod_changes_nothing(api_server: ApiServer, namespace: str) -> None:
    """The whole operator: Accepted is False with the path, the former revision stays, and a repair is taken."""
    clusters = path_of(naming.API_VERSION, naming.KIND, namespace)
    document: JsonObject = {
        "apiVersion": naming.API_VERSION, "kind": naming.KIND, "metadata": {"name": "main"}, "spec": {"replicas": 0},
    }  # fmt: skip
    async with OperatorProcess(api_server, namespace, watch_namespaces=namespace, resync_seconds=2) as operator:
        await operator.wait_ready()
        api_server.call("POST", clusters, document)

        async def revisions() -> list[str]:
            listed = objects_at(api_server.call("GET", path_of(*REPLICA_SETS, namespace)), "items")
            return [text_at(item, "metadata", "name") for item in listed]

        async def accepted() -> str:
            conditions = objects_at(api_server.call("GET", f"{clusters}/main"), "status", "conditions")
            return next((text_at(c, "message") for c in conditions if c["type"] == "Accepted"), "")

        before = await eventually(revisions, lambda found: len(found) == 1, what="a revision", within=20)
        bad: JsonObject = {"spec": {"pod": {"volumes": [{"name": "a", "emptydir": {}}]}}}
        api_server.call("PATCH", f"{clusters}/main", bad)
        path = "spec.pod.volumes[0].emptydir"
        await eventually(accepted, lambda told: path in told, what="refused", within=15)
        assert await revisions() == before
        good: JsonObject = {"spec": {"pod": {"volumes": [{"name": "a", "emptyDir": {}}]}}}
        api_server.call("PATCH", f"{clusters}/main", good)
        await eventually(revisions, lambda found: before[0] not in found or len(found) > 1, what="taken", within=20)
        await eventually(accepted, lambda told: told == "the spec is valid", what="accepted", within=15)
        assert "Traceback" not in operator.log()
