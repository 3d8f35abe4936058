"""Tests of the set of all objects."""

from __future__ import annotations

from collections.abc import Collection

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.builders.build import build_shared
from realtime_operator.builders.optional_kinds import Kind
from tests.kit.document import text_at
from tests.kit.manifests import SETTINGS, cluster_of, render, with_redis_password


def test_objects_are_in_the_order_in_which_they_are_needed() -> None:
    """Secrets and account come before pods, and the configuration before servers."""
    kinds = [manifest["kind"] for manifest in render(cluster_of())]
    assert kinds[:3] == ["Secret", "Secret", "ServiceAccount"]
    assert kinds[-2:] == ["ConfigMap", "ReplicaSet"]


def test_nothing_depends_on_the_number_of_servers() -> None:
    small, large = (cluster_of({"replicas": number}) for number in (1, 9))
    secrets = with_redis_password(small)
    assert build_shared(small, SETTINGS, secrets) == build_shared(large, SETTINGS, secrets)


def test_no_two_objects_have_one_name() -> None:
    names = [(manifest["kind"], text_at(manifest, "metadata", "name")) for manifest in render(cluster_of())]
    assert len(set(names)) == len(names)


def test_the_longest_name_fits() -> None:
    """Names of objects have at most 63 characters."""
    manifests = render(cluster_of(name="a" * 40))
    assert max(len(text_at(manifest, "metadata", "name")) for manifest in manifests) <= 63


MONITORING_KINDS = frozenset((naming.MONITORING_API_VERSION, kind) for kind in ("PodMonitor", "PrometheusRule"))


@pytest.mark.parametrize(("monitoring", "unserved", "expected"), [
    (None, frozenset(), []),
    ({}, frozenset(), ["PodMonitor", "PrometheusRule", "ConfigMap"]),
    ({}, MONITORING_KINDS, ["ConfigMap"]),
    ({"podMonitor": {"create": "Always"}}, MONITORING_KINDS, ["PodMonitor", "ConfigMap"]),
    ({"podMonitor": {"create": "Never"}, "dashboard": {"create": "Never"}}, frozenset(), ["PrometheusRule"]),
])  # fmt: skip
def test_monitoring_is_made_on_request(
    monitoring: JsonObject | None, unserved: Collection[Kind], expected: list[str]
) -> None:
    """By default only where the kind is served; a kind that is always wanted and not served is reported."""
    cluster = cluster_of({} if monitoring is None else {"monitoring": monitoring})
    made = [manifest["kind"] for manifest in build_shared(cluster, SETTINGS, {}, unserved)]
    assert [kind for kind in made if kind in {"PodMonitor", "PrometheusRule", "ConfigMap"}] == expected
