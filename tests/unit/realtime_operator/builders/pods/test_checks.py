"""Tests of what settings of pods must not break."""

from __future__ import annotations

import json

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.builders import check_pods
from tests.kit.manifests import SETTINGS, cluster_of
from tests.kit.spec_leaves import used_specs

IMAGE = "registry.example.com/a:1"
TEMPORARY = "/tmp"  # noqa: S108 - that of a pod


def found(pod: JsonObject, *, redis: bool = False) -> list[tuple[str, str]]:
    """Return path and message of what is wrong with the settings of the servers' pods, or of Redis'."""
    spec: JsonObject = {"backplane": {"redis": {"managed": {"pod": pod}}}} if redis else {"pod": pod}
    return [(finding.path, finding.message) for finding in check_pods(cluster_of(spec), SETTINGS)]


def template(**spec: JsonValue) -> JsonObject:
    """Return settings with a patch of the pod's spec."""
    return {"template": {"spec": {**spec}}}


def server(**fields: JsonValue) -> JsonObject:
    """Return settings with a patch of the server's container."""
    return template(containers=[{"name": "server", **fields}])


def test_a_spec_with_everything_is_right() -> None:
    assert {check_pods(cluster_of(spec), SETTINGS) for spec in used_specs()} == {()}


@pytest.mark.parametrize(
    ("pod", "path"),
    [
        (template(containers=[{"name": "serve", "env": []}]), "spec.pod.template.spec.containers[0]"),
        (template(initContainers=[{"name": "serve"}]), "spec.pod.template.spec.initContainers[0]"),
        ({"containers": [{"name": "serve", "image": ""}]}, "spec.pod.containers[0].image"),
        ({"initContainers": [{"name": "serve"}]}, "spec.pod.initContainers[0].image"),
    ],
)
def test_a_container_without_an_image_is_refused(pod: JsonObject, path: str) -> None:
    """It may be meant to be the operator's own, so the message has the name of that one."""
    assert found(pod) == [(path, "serve needs an image; the operator's container is server")]


@pytest.mark.parametrize(
    ("pod", "path"),
    [
        ({"volumes": [{"name": "a"}, {"name": "config"}]}, "spec.pod.volumes[1].name"),
        ({"containers": [{"name": "server", "image": IMAGE}]}, "spec.pod.containers[0].name"),
        ({"initContainers": [{"name": "server", "image": IMAGE}]}, "spec.pod.initContainers[0].name"),
        ({"env": [{"name": "REALTIME_CONFIG", "value": "x"}]}, "spec.pod.env[0].name"),
        ({"volumeMounts": [{"name": "a", "mountPath": "/etc/realtime/config"}]}, "spec.pod.volumeMounts[0].mountPath"),
        (
            {"volumeMounts": [{"name": "a", "mountPath": "/etc/realtime/redis/x/"}]},
            "spec.pod.volumeMounts[0].mountPath",
        ),
        ({"volumeMounts": [{"name": "a", "mountPath": "/etc"}]}, "spec.pod.volumeMounts[0].mountPath"),
        ({"volumeMounts": [{"name": "a", "mountPath": f"{TEMPORARY}/"}]}, "spec.pod.volumeMounts[0].mountPath"),
        (
            {"containers": [{"name": "a", "image": IMAGE, "ports": [{"name": "admin", "containerPort": 1}]}]},
            "spec.pod.containers[0].ports[0].name",
        ),
        (
            {"initContainers": [{"name": "a", "image": IMAGE, "ports": [{"containerPort": 8000}]}]},
            "spec.pod.initContainers[0].ports[0].containerPort",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_the_operator_uses_is_taken(pod: JsonObject, path: str) -> None:
    assert [place for place, _ in found(pod)] == [path]


def test_the_temporary_directory_may_have_more_in_it() -> None:
    assert found({"volumeMounts": [{"name": "a", "mountPath": f"{TEMPORARY}/cache"}], "volumes": [{"name": "a"}]}) == []


@pytest.mark.parametrize("value", ["Debug", "Warning"])
def test_the_level_of_the_log_is_set_in_one_place(value: str) -> None:
    """A variable of the user is taken only while the spec leaves it to them."""
    pod: JsonObject = {"env": [{"name": "LOG_LEVEL", "value": "error"}]}
    cluster = cluster_of({"pod": pod, "server": {"logging": {"level": value}}})
    assert [finding.path for finding in check_pods(cluster, SETTINGS)] == ["spec.pod.env[0].name"]
    assert found(pod) == []


T = "spec.pod.template.spec"
S = f"{T}.containers[0]"


@pytest.mark.parametrize(
    ("pod", "path", "message"),
    [
        (server(command=["sh"]), f"{S}.command", "must be absent"),
        (server(args=["run", "--debug"]), f"{S}.args", 'must stay ["run"]'),
        (server(lifecycle={"$patch": "delete"}), f"{S}.lifecycle", "the drain moves connections"),
        (server(lifecycle={"preStop": {"exec": {"command": ["true"]}}}), f"{S}.lifecycle.preStop.exec", "drain"),
        (server(readinessProbe={"httpGet": {"port": 1}}), f"{S}.readinessProbe.httpGet", "/health/ready"),
        (server(ports=[{"containerPort": 8002, "$patch": "delete"}]), f"{S}.ports[0]", "8002"),
        (server(ports=[{"containerPort": 8002, "name": "other"}]), f"{S}.ports[0].name", "admin"),
        (server(env=[{"name": "REALTIME_CONFIG", "value": "x"}]), f"{S}.env[0].value", "config.json"),
        (
            server(volumeMounts=[{"mountPath": "/etc/realtime/config", "name": "x"}]),
            f"{S}.volumeMounts[0].name", "config",
        ),
        (template(volumes=[{"name": "config", "$patch": "delete"}]), f"{T}.volumes[0]", '"config"'),
        (
            template(volumes=[{"name": "redis", "secret": {"secretName": "x"}}]),
            f"{T}.volumes[0].secret.secretName", "chat-redis",
        ),
        (template(containers=[{"name": "server", "$patch": "delete"}]), S, '"server"'),
        (template(containers=[{"$patch": "replace"}, {"name": "x"}]), f"{T}.containers", '"server"'),
        (template(terminationGracePeriodSeconds=30), f"{T}.terminationGracePeriodSeconds", "must be at least 635"),
        (template(serviceAccount="x"), f"{T}.serviceAccount", "use serviceAccountName"),
        (template(containers=[{"name": "server", "env": [{"value": "x"}]}]), f"{S}.env[0]", "needs name"),
        (
            {"template": {"metadata": {"labels": {"realtime.dev/serving": "false"}}}},
            "spec.pod.template.metadata.labels[realtime.dev/serving]", "find the pods by them",
        ),
        (
            {"template": {"metadata": {"annotations": {"realtime.dev/drain": "requested"}}}},
            "spec.pod.template.metadata.annotations[realtime.dev/drain]", "is reserved",
        ),
        (
            template(containers=[{"name": "x", "image": IMAGE, "ports": [{"containerPort": 8000}]}]),
            f"{S}.ports[0].containerPort", "is a port of the operator's container",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_a_patch_that_breaks_something_is_refused(pod: JsonObject, path: str, message: str) -> None:
    """The path is that of the patch, and the message has what must stay, and why."""
    places = found(pod)
    assert [place for place, _ in places][:1] == [path], places
    assert message in json.dumps(places[0][1]).replace('\\"', '"'), places


@pytest.mark.parametrize(
    "pod",
    [
        server(image="other", livenessProbe={"periodSeconds": 30}, resources={"limits": {"memory": "1Gi"}}),
        server(lifecycle={"postStart": {"exec": {"command": ["true"]}}}, env=[{"name": "X", "value": "y"}]),
        template(hostNetwork=True, shareProcessNamespace=True, terminationGracePeriodSeconds=900),
        template(volumes=[{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}]),
        {"template": {"metadata": {"labels": {"team": "a"}}}},
    ],
    ids=str,
)
def test_the_rest_may_be_patched(pod: JsonObject) -> None:
    assert found(pod) == []


def test_redis_is_checked_by_its_own_pod() -> None:
    assert found({"volumes": [{"name": "config"}]}, redis=True) == []
    path = "spec.backplane.redis.managed.pod"
    assert [place for place, _ in found({"volumes": [{"name": "data"}]}, redis=True)] == [f"{path}.volumes[0].name"]
    broken = found(template(containers=[{"name": "redis", "command": ["sh"]}]), redis=True)
    assert [place for place, _ in broken] == [f"{path}.template.spec.containers[0].command"]
