"""Tests of the set of all objects."""

from __future__ import annotations

from realtime_operator.builders.build import build_shared
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
