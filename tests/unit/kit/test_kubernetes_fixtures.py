"""Tests of the namespaces of scenarios."""

from __future__ import annotations

from tests.kit.kubernetes_fixtures import namespace_of


def test_each_case_has_a_namespace_of_its_own() -> None:
    """Long names are cut, and stay different; short ones are readable."""
    long = "test_api_server_accepts_the_published_manifests[install{}.yaml]"
    names = [namespace_of(long.format(case)) for case in ("", "-one-namespace")]
    assert len(set(names)) == 2
    assert all(len(name) <= 54 and name.strip("-") == name for name in names)
    assert namespace_of("test_pods_that_are_refused[quota]") == "e2e-pods-that-are-refused-quota"
