"""Scenarios of installation, restriction to namespaces, and removal."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.e2e.test_operator import OPERATOR_SELECTOR
from tests.kit.deadline import eventually, stays
from tests.kit.document import dig, text_at
from tests.kit.installation import NAMESPACE, RELEASE, Helm, Images
from tests.kit.kube import KubectlError, is_ready, name_of
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.live_cluster import LiveCluster
from tests.kit.running_cluster import manifest


@pytest.fixture
def cluster_wide_again(helm: Helm, images: Images) -> Iterator[None]:
    """Restore the session's installation after the scenario."""
    yield
    helm.install(images)


async def test_a_namespaced_install_manages_its_namespaces_only(
    scenario: Scenario,
    helm: Helm,
    images: Images,
    cluster_wide_again: None,  # noqa: ARG001
) -> None:
    """With watchNamespaces a cluster there becomes Ready; one elsewhere is not touched."""
    elsewhere = LiveCluster(scenario.kube.within("default"), "elsewhere")
    helm.install(images, watchNamespaces=[scenario.kube.namespace], webhook={"enabled": False})
    try:
        await elsewhere.apply(manifest("elsewhere", replicas=1))
        cluster = scenario.cluster()
        await cluster.apply(manifest("main", replicas=1))
        await cluster.wait_ready()
        await stays(elsewhere.get, lambda o: "status" not in o, what="not touched", during=2)
        assert await _may(scenario, "list", "pods", scenario.kube.namespace)
        assert not await _may(scenario, "list", "pods", "default")
        assert not await _may(scenario, "create", "clusterroles", "default")
    finally:
        await elsewhere.kube.delete(naming.PLURAL, elsewhere.name)


async def _may(scenario: Scenario, verb: str, kind: str, namespace: str) -> bool:
    """Return True when the operator's ServiceAccount has the permission."""
    account = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
    try:
        await scenario.kube.within(namespace).kubectl("auth", "can-i", verb, kind, "--as", account)
    except KubectlError:
        return False
    return True


async def test_an_operator_waits_for_its_kind(
    scenario: Scenario,
    helm: Helm,
    images: Images,
    cluster_wide_again: None,  # noqa: ARG001
) -> None:
    """While the CRD is deleted the operator is not ready, without a traceback; then the same process continues."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready()
    (before,) = await scenario.system.list("pods", OPERATOR_SELECTOR)
    await scenario.kube.kubectl("delete", "crd", f"{naming.PLURAL}.{naming.GROUP}", "--timeout=60s")

    async def operator() -> JsonObject:
        (pod,) = await scenario.system.list("pods", OPERATOR_SELECTOR)
        return pod

    await eventually(operator, lambda pod: not is_ready(pod), what="the operator is not ready", within=60)
    helm.install(images)
    await eventually(operator, is_ready, what="the operator is ready", within=60)
    after = await operator()
    assert text_at(after, "metadata", "uid") == text_at(before, "metadata", "uid")
    log = await scenario.system.logs(name_of(after))
    assert "Traceback" not in log
    again = scenario.cluster("again")
    await again.apply(manifest("again", replicas=1))
    await again.wait_ready(within=90)


async def test_deletion_leaves_nothing_behind(scenario: Scenario) -> None:
    """Owner references delete all objects, even while no operator runs."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready()
    assert await cluster.children()
    await scenario.system.kubectl("scale", "deployment", RELEASE, "--replicas=0")
    try:
        await scenario.system.wait_for(
            "deployments", RELEASE, lambda o: dig(o, "status", "readyReplicas") is None, what="no operator", within=30
        )
        await scenario.kube.delete(naming.PLURAL, "main")
        await eventually(cluster.children, lambda left: left == {}, what="no children", within=60)
        labelled = f"{naming.LABEL_CLUSTER}=main"
        await eventually(
            lambda: scenario.kube.list("pods", labelled), lambda pods: pods == [], what="no pods", within=60
        )
        for kind in ("persistentvolumeclaims", "endpoints", "configmaps", "secrets"):
            assert await scenario.kube.list(kind, labelled) == []
    finally:
        await scenario.system.kubectl("scale", "deployment", RELEASE, "--replicas=1")
        await scenario.system.kubectl("rollout", "status", f"deployment/{RELEASE}", "--timeout=60s")
