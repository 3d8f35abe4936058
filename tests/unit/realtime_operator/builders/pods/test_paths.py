"""Tests of the way back from a rendered pod template to the spec."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.builders.cluster_pods import cluster_pods
from realtime_operator.builders.pods.paths import PodPaths, parse_parts
from tests.kit.document import objects_at, text_at
from tests.kit.manifests import SETTINGS, cluster_of

POD: JsonObject = {
    "affinity": {"nodeAffinity": {}},
    "env": [{"name": "A", "value": "1"}],
    "volumes": [{"name": "a"}],
    "volumeMounts": [{"name": "a", "mountPath": "/a"}],
    "initContainers": [{"name": "i"}],
    "containers": [{"name": "c", "ports": [{"containerPort": 9}]}],
    "securityContext": {"runAsUser": 1},
    "containerSecurityContext": {"runAsUser": 1},
    "template": {
        "spec": {
            "dnsConfig": {"options": [{"name": "x"}]},
            "containers": [{"name": "c", "image": "Bad Image"}, {"name": "added", "stdin": True}],
        }
    },
}


def paths() -> PodPaths:
    """Return the paths of a server pod with these settings."""
    pod = next(cluster_pods(cluster_of({"pod": POD}), SETTINGS))
    return PodPaths.render(pod.path, pod.base, pod.settings, pod.selector)


def index_of(name: str) -> int:
    """Return the index of a rendered container."""
    return [text_at(item, "name") for item in objects_at(paths().final, "spec", "containers")].index(name)


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("spec.affinity.nodeAffinity", "spec.pod.affinity.nodeAffinity"),
        ("spec.containers[0].env[3].value", "spec.pod.env[0].value"),
        ("spec.containers[0].env[0].value", "spec.pod"),
        ("spec.containers[0].volumeMounts[4].name", "spec.pod.volumeMounts[0].name"),
        ("spec.containers[0].securityContext.runAsUser", "spec.pod.containerSecurityContext.runAsUser"),
        ("spec.containers[0].resources.limits[cpu]", "spec.pod.resources.limits.cpu"),
        ("spec.securityContext.runAsUser", "spec.pod.securityContext.runAsUser"),
        ("spec.volumes[4].configMap", "spec.pod.volumes[0].configMap"),
        ("spec.initContainers[0].image", "spec.pod.initContainers[0].image"),
        ("metadata.labels[team]", "spec.pod.labels.team"),
        ("spec.dnsConfig.options[0].name", "spec.pod.template.spec.dnsConfig.options[0].name"),
        ("spec.dnsConfig.nameservers", "spec.pod.template.spec.dnsConfig"),
        ("spec.containers[C].image", "spec.pod.template.spec.containers[0].image"),
        ("spec.containers[C].ports[0].name", "spec.pod.containers[0].ports[0].name"),
        ("spec.containers[ADDED].stdin", "spec.pod.template.spec.containers[1].stdin"),
        ("spec.containers[ADDED].image", "spec.pod.template.spec.containers[1]"),
    ],
)
def test_a_place_is_found_in_the_spec(place: str, expected: str) -> None:
    """The patch is named when it gives the value, the settings alone when the operator does."""
    written = place.replace("[C]", f"[{index_of('c')}]").replace("[ADDED]", f"[{index_of('added')}]")
    assert paths().of(parse_parts(written)) == expected


def test_keys_of_maps_are_parts() -> None:
    assert parse_parts("metadata.labels[example.com/a.b]") == ("metadata", "labels", "example.com/a.b")
