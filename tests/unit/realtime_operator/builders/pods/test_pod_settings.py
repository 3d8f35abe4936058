"""Tests of the settings of pods in the rendered template."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.builders.pods.pod_settings import with_settings
from realtime_operator.builders.servers.replica_set import base_template, pod_template, selector
from tests.kit.document import dig, object_at, objects_at, text_at
from tests.kit.manifests import SETTINGS, cluster_of


def template(**pod: JsonValue) -> JsonObject:
    """Return the server's pod template with these settings."""
    return pod_template(cluster_of({"pod": {**pod}}), SETTINGS, "r")


def names(items: list[JsonObject]) -> list[str]:
    """Return the names of items."""
    return [text_at(item, "name") for item in items]


def test_without_settings_the_template_is_that_of_the_operator() -> None:
    """Canonical form changes nothing that the operator writes."""
    cluster = cluster_of()
    assert template() == base_template(cluster, SETTINGS, "r")


def test_servers_are_spread_over_zones_and_nodes() -> None:
    keys = [item["topologyKey"] for item in objects_at(template(), "spec", "topologySpreadConstraints")]
    assert keys == ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]


def test_own_spread_constraints_replace_the_defaults() -> None:
    """A constraint without a selector is about the servers of the revision; an empty list is none at all."""
    (own,) = objects_at(
        template(topologySpreadConstraints=[{"topologyKey": "rack"}]), "spec", "topologySpreadConstraints"
    )
    assert own == {"labelSelector": {"matchLabels": selector(cluster_of(), "r")}, "topologyKey": "rack"}
    assert "topologySpreadConstraints" not in object_at(template(topologySpreadConstraints=[]), "spec")


def test_security_contexts_are_merged() -> None:
    """A field of the spec replaces one field; the others keep the pod restricted."""
    rendered = template(securityContext={"runAsUser": 7}, containerSecurityContext={"readOnlyRootFilesystem": False})
    context = object_at(rendered, "spec", "securityContext")
    assert (context["runAsUser"], context["runAsNonRoot"]) == (7, True)
    own = object_at(rendered, "spec", "containers", 0, "securityContext")
    assert (own["readOnlyRootFilesystem"], own["allowPrivilegeEscalation"]) == (False, False)


def test_containers_stand_after_the_operators() -> None:
    """So do those that a patch adds, and `kubectl logs` shows the server."""
    patch: JsonObject = {"spec": {"containers": [{"name": "patched", "image": "a"}]}}
    rendered = template(containers=[{"name": "extra", "image": "a"}], template=patch)
    assert names(objects_at(rendered, "spec", "containers"))[0] == "server"
    assert sorted(names(objects_at(rendered, "spec", "containers"))) == ["extra", "patched", "server"]
    assert dig(rendered, "metadata", "annotations", "kubectl.kubernetes.io/default-container") == "server"


def test_the_patch_is_applied_last() -> None:
    container: JsonObject = {"name": "server", "env": [{"name": "A", "value": "2"}]}
    patch: JsonObject = {"spec": {"priorityClassName": "two", "containers": [container]}}
    rendered = template(priorityClassName="one", env=[{"name": "A", "value": "1"}], template=patch)
    assert dig(rendered, "spec", "priorityClassName") == "two"
    assert {"name": "A", "value": "2"} in objects_at(rendered, "spec", "containers", 0, "env")


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (
            {"volumes": [{"name": "a", "emptyDir": {"sizeLimit": "1024Mi"}}]},
            {"name": "a", "emptyDir": {"sizeLimit": "1Gi"}},
        ),
        ({"volumes": [{"name": "a", "emptyDir": {}}]}, {"name": "a", "emptyDir": {}}),
        (
            {"volumes": [{"name": "a", "nfs": {"server": "s", "readOnly": False}}]},
            {"name": "a", "nfs": {"server": "s"}},
        ),
        (
            {"volumes": [{"name": "a", "csi": {"driver": "d", "volumeAttributes": {"size": "1024Mi", "x": ""}}}]},
            {"name": "a", "csi": {"driver": "d", "volumeAttributes": {"size": "1024Mi", "x": ""}}},
        ),
    ],
    ids=str,
)
def test_values_are_in_the_form_of_the_api_server(written: JsonObject, expected: JsonObject) -> None:
    """What it would rewrite or omit would be taken for an edit; maps of texts are left alone."""
    assert objects_at(template(**written), "spec", "volumes")[-1] == expected


def test_resources_of_sidecars_are_canonical() -> None:
    sidecar: JsonObject = {
        "name": "a", "image": "b", "resources": {"limits": {"cpu": 0.5, "memory": "2048Ki"}, "requests": {}},
        "stdin": False, "args": [], "readinessProbe": {"initialDelaySeconds": 0, "exec": {"command": ["x"]}},
        "securityContext": {"privileged": False},
    }  # fmt: skip
    assert objects_at(template(containers=[sidecar]), "spec", "containers")[1] == {
        "name": "a", "image": "b", "resources": {"limits": {"cpu": "500m", "memory": "2Mi"}},
        "readinessProbe": {"exec": {"command": ["x"]}}, "securityContext": {"privileged": False},
    }  # fmt: skip


def test_a_quantity_that_is_none_is_left_for_the_api_server() -> None:
    volumes = objects_at(template(volumes=[{"name": "a", "emptyDir": {"sizeLimit": "much"}}]), "spec", "volumes")
    assert dig(volumes[-1], "emptyDir", "sizeLimit") == "much"


def test_settings_of_redis_are_the_same() -> None:
    base: JsonObject = {
        "metadata": {"labels": {"a": "b"}},
        "spec": {"serviceAccountName": "own", "containers": [{"name": "redis"}], "volumes": [{"name": "data"}]},
    }  # fmt: skip
    pod = cluster_of(
        {"backplane": {"redis": {"managed": {"pod": {"volumes": [{"name": "v"}]}}}}}
    ).spec.backplane.managed
    assert pod is not None
    rendered = with_settings(base, pod.pod, {"a": "b"})
    assert names(objects_at(rendered, "spec", "volumes")) == ["data", "v"]
    assert "topologySpreadConstraints" not in object_at(rendered, "spec")
