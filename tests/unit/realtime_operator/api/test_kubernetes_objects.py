"""Tests of fields that have Kubernetes' own structure."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.errors import InvalidCluster
from realtime_operator.api.kubernetes_objects import MOST_BYTES, MOST_LEVELS
from tests.kit.manifests import cluster_of


def nested(levels: int) -> JsonValue:
    """Return objects within each other."""
    value: JsonValue = "x"
    for _ in range(levels):
        value = {"a": value}
    return value


def test_what_is_not_known_is_kept() -> None:
    """A field of a later Kubernetes is none that this release would have to know."""
    affinity: JsonObject = {"someAffinity": [{"weight": 0.5, "enabled": False}]}
    assert cluster_of({"pod": {"affinity": affinity}}).spec.pod.affinity == affinity


@pytest.mark.parametrize(
    ("pod", "path", "message"),
    [
        ({"affinity": {"nodeAffinity": None}}, "spec.pod.affinity", "null has no meaning here"),
        ({"affinity": "zone"}, "spec.pod.affinity", "must be of type object"),
        ({"containers": [{"image": "a"}]}, "spec.pod.containers[0].name", "Required value"),
        ({"containers": [{"name": 1}]}, "spec.pod.containers[0].name", "must be of type string"),
        ({"containers": [{"name": "a"}, {"name": "a"}]}, "spec.pod.containers", "Duplicate value: a"),
        ({"volumeMounts": [{"name": "a"}]}, "spec.pod.volumeMounts[0].mountPath", "Required value"),
        ({"envFrom": [{}] * 17}, "spec.pod.envFrom", "must have at most 16 items"),
        ({"template": nested(MOST_LEVELS + 1)}, "spec.pod.template", "levels"),
        ({"template": nested(5000)}, "spec", "nested too deeply"),
        ({"template": {"a": "x" * MOST_BYTES}}, "spec.pod.template", "bytes as JSON"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_is_refused(pod: JsonObject, path: str, message: str) -> None:
    with pytest.raises(InvalidCluster) as refused:
        cluster_of({"pod": pod})
    (finding,) = refused.value.findings
    assert finding.path == path
    assert message in finding.message
