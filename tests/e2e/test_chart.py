"""Scenarios of the chart: helm and the API server accept it, and the operator's roles are sufficient."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kit.chart import CHART, GOLDEN_NAMES, HelmError, golden_text, golden_values, render, render_golden, run_helm
from tests.kit.cluster.environment import Environment
from tests.kit.installation import NAMESPACE, RELEASE, Helm, Images
from tests.kit.kube import Access, Kube, KubectlError
from tests.kit.kubernetes_fixtures import Scenario

OPERATOR = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
OTHER_RELEASE = "chart-check"
WITHOUT_MONITORS = "metrics.podMonitor.enabled=false,metrics.serviceMonitor.enabled=false"
"""Values without monitors, whose kinds belong to the Prometheus operator, which the test cluster does not have."""


@pytest.fixture
def program(environment: Environment) -> Path:
    """Path of helm, for use without a cluster."""
    return environment.helm


@pytest.fixture
async def teams(access: Access) -> AsyncIterator[Kube]:
    """The namespaces that the golden values name, and one for a release."""
    names = ("team-a", "team-b", OTHER_RELEASE)
    async with Kube(access, OTHER_RELEASE) as kube:
        for name in names:
            await kube.within(name).create_namespace()
        try:
            yield kube
        finally:
            await kube.kubectl("delete", "namespace", *names, "--wait=true")


async def allowed(kube: Kube, user: str, verb: str, resource: str, subresource: str = "") -> bool:
    """Return True when the API server permits `user` to do this in the namespace."""
    try:
        answer = await kube.kubectl("auth", "can-i", verb, resource, "--subresource", subresource, "--as", user)
    except KubectlError:  # "no" is an exit code as well
        return False
    return answer.strip() == "yes"


def test_lint_finds_nothing(program: Path) -> None:
    """`helm lint --strict` passes with every set of values."""
    for name in GOLDEN_NAMES:
        assert "0 chart(s) failed" in run_helm(
            program, "lint", "--strict", str(CHART), "--values", str(golden_values(name))
        )


@pytest.mark.parametrize("name", GOLDEN_NAMES)
def test_golden_manifests_are_what_helm_renders(program: Path, name: str) -> None:
    """The golden files that unit tests read are up to date."""
    assert render_golden(program, name) == golden_text(name)


def test_renewal_slower_than_the_lease_is_refused(program: Path) -> None:
    """Timings with which two operators could lead at once are refused before the installation."""
    with pytest.raises(HelmError, match=r"renewSeconds \(20\) must be less than leaderElection.leaseDurationSeconds"):
        render(program, "--set", "leaderElection.renewSeconds=20")


def test_unknown_value_is_refused(program: Path) -> None:
    """A misspelt value is refused by its name."""
    with pytest.raises(HelmError, match="replica"):
        render(program, "--set", "replica=2")


@pytest.mark.parametrize("name", GOLDEN_NAMES)
async def test_api_server_accepts_the_manifests(program: Path, teams: Kube, name: str) -> None:
    """The API server accepts every rendered object, the CRD too, without warnings."""
    options = ("--values", str(golden_values(name)), "--set", f"crds.install=true,{WITHOUT_MONITORS}")
    manifests = render(program, *options, release=OTHER_RELEASE, namespace=teams.namespace)
    answer = await teams.within("").kubectl(  # the manifests name their namespaces
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--warnings-as-errors", "-f", "-",
        stdin=manifests,
    )  # fmt: skip
    assert answer.count("serverside-applied") == manifests.count("\nkind: ")


async def test_operator_may_do_what_its_rules_say_and_no_more(scenario: Scenario) -> None:
    """The operator's account may patch pods and write Secrets, and may not read nodes or other custom resources."""
    kube = scenario.kube
    for verb, resource in (("patch", "pods"), ("create", "secrets"), ("watch", "realtimeclusters.realtime.dev")):
        assert await allowed(kube, OPERATOR, verb, resource), f"{verb} {resource}"
    for verb, resource in (("list", "nodes"), ("update", "pods"), ("update", "deployments.apps"), ("get", "leases")):
        assert not await allowed(kube, OPERATOR, verb, resource), f"{verb} {resource}"


async def test_namespace_roles_include_the_kind(scenario: Scenario) -> None:
    """The role `edit` may create and scale clusters in its namespace; `view` may read them."""
    kube = scenario.kube
    await kube.kubectl("create", "rolebinding", "editor", "--clusterrole=edit", "--user=editor")
    await kube.kubectl("create", "rolebinding", "viewer", "--clusterrole=view", "--user=viewer")
    assert await allowed(kube, "editor", "create", "realtimeclusters.realtime.dev")
    assert await allowed(kube, "editor", "patch", "realtimeclusters.realtime.dev", "scale")
    assert not await allowed(kube, "editor", "patch", "realtimeclusters.realtime.dev", "status")
    assert await allowed(kube, "viewer", "list", "realtimeclusters.realtime.dev")
    assert not await allowed(kube, "viewer", "delete", "realtimeclusters.realtime.dev")


async def test_namespaced_operator_runs_with_roles_alone(
    scenario: Scenario, helm: Helm, images: Images, teams: Kube
) -> None:
    """The operator of one namespace becomes ready with Roles only, and no request is refused."""
    watched = scenario.kube.namespace
    helm.install(
        images, release=OTHER_RELEASE, namespace=teams.namespace, watchNamespaces=[watched], replicas=2,
        crds={"install": False}, rbac={"aggregateRoles": False},
    )  # fmt: skip
    try:
        log = await teams.kubectl("logs", "--selector", f"app.kubernetes.io/instance={OTHER_RELEASE}", "--tail=-1")
        assert "orbidden" not in log, log
        lease = await teams.kubectl("get", "leases", "-o", "jsonpath={.items[*].spec.holderIdentity}")
        assert lease.startswith(OTHER_RELEASE)
    finally:
        helm.uninstall(release=OTHER_RELEASE, namespace=teams.namespace)
