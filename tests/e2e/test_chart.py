"""Scenarios of the chart: helm and the API server accept it, and the operator's roles are sufficient."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import yaml

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.kit.chart import (
    CHART,
    GOLDEN_NAMES,
    HelmError,
    documents_of,
    golden_text,
    golden_values,
    render,
    render_golden,
    run_helm,
)
from tests.kit.chart_artifacts import VARIANTS, manifests, package, push
from tests.kit.cluster.environment import Environment
from tests.kit.deadline import eventually
from tests.kit.document import object_at
from tests.kit.installation import NAMESPACE, RELEASE, Helm, Images
from tests.kit.kube import Access, Kube, KubectlError
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.redis_process import free_port
from tests.kit.running_cluster import manifest

OPERATOR = f"system:serviceaccount:{NAMESPACE}:{RELEASE}"
OTHER_RELEASE = "chart-check"
WITHOUT_MONITORS = ",".join(
    f"metrics.{kind}.enabled=false" for kind in ("podMonitor", "serviceMonitor", "prometheusRule")
)
"""Values without the kinds of the Prometheus operator, which the test cluster does not have."""


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


def test_a_webhook_that_leaves_longer_than_its_pod_lives_is_refused(program: Path) -> None:
    """The kubelet would kill the process while the API server still calls it."""
    with pytest.raises(HelmError, match=r"leaveSeconds \(30\) must be less than terminationGracePeriodSeconds \(30\)"):
        render(program, "--set", "webhook.enabled=true,webhook.leaveSeconds=30")


def test_a_port_of_the_webhook_that_is_taken_is_refused(program: Path) -> None:
    """The operator's pod would crash."""
    with pytest.raises(HelmError, match="securePort must not be 8080"):
        render(program, "--set", "webhook.enabled=true,webhook.securePort=8080")


def test_a_misspelt_namespace_selector_of_the_webhook_is_refused(program: Path) -> None:
    """The API server would drop the field, and an empty selector selects all namespaces."""
    with pytest.raises(HelmError, match="namespaceSelector': additional properties 'matchLabel' not allowed"):
        render(program, "--set", "webhook.enabled=true,webhook.namespaceSelector.matchLabel.team=a")


def test_unknown_value_is_refused(program: Path) -> None:
    """A misspelt value is refused by its name."""
    with pytest.raises(HelmError, match="replica"):
        render(program, "--set", "replica=2")


def test_a_null_is_refused_by_name_or_leaves_out_what_may_be_missing(program: Path) -> None:
    """No error of a template reaches the user, and no `null` where a map belongs."""
    with pytest.raises(HelmError, match="missing property 'webhook'"):
        render(program, "--set", "webhook=null")
    with pytest.raises(HelmError, match="'/metrics': missing property 'service'"):
        render(program, "--set", "metrics.service=null")
    optional = ("resources", "podSecurityContext", "securityContext", "nodeSelector", "affinity", "podLabels")
    manifests = documents_of(render(program, "--set", ",".join(f"{name}=null" for name in optional)))
    (operator,) = (item for item in manifests if item["kind"] == "Deployment")
    container = object_at(operator, "spec", "template", "spec", "containers", 0)
    assert not {"resources", "securityContext"} & container.keys()


@pytest.mark.parametrize("name", GOLDEN_NAMES)
async def test_api_server_accepts_the_manifests(program: Path, teams: Kube, installed: None, name: str) -> None:  # noqa: ARG001
    """The API server accepts every rendered object, the CRD too, without warnings."""
    options = ("--values", str(golden_values(name)), "--set", f"crds.install=true,{WITHOUT_MONITORS}")
    manifests = render(program, *options, release=OTHER_RELEASE, namespace=teams.namespace)
    answer = await teams.within("").kubectl(  # the manifests name their namespaces
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--warnings-as-errors", "-f", "-",
        stdin=manifests,
    )  # fmt: skip
    assert answer.count("serverside-applied") == manifests.count("\nkind: ")


@pytest.mark.parametrize("name", VARIANTS)
async def test_api_server_accepts_the_published_manifests(program: Path, scenario: Scenario, name: str) -> None:
    """`make manifests` writes what `kubectl apply` takes, without warnings, and without hooks of Helm."""
    text = manifests(program, VARIANTS[name])
    assert "helm.sh/hook" not in text
    answer = await scenario.kube.within("").kubectl(
        "apply", "--server-side", "--force-conflicts", "--dry-run=server", "--warnings-as-errors", "-f", "-",
        stdin=text,
    )  # fmt: skip
    assert answer.count("serverside-applied") == text.count("\nkind: ")
    assert "customresourcedefinition.apiextensions.k8s.io/realtimeclusters.realtime.dev" in answer


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


@pytest.fixture
def oci(environment: Environment, tmp_path: Path) -> Iterator[str]:
    """URL of a folder in an OCI registry on this machine."""
    port = free_port()
    settings: JsonObject = {
        "version": "0.1",
        "log": {"level": "warn"},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    file = tmp_path / "registry.yaml"
    file.write_text(yaml.safe_dump(settings))
    process = subprocess.Popen(
        [str(environment.registry), "serve", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield f"oci://127.0.0.1:{port}/charts"
    finally:
        process.terminate()
        process.wait(timeout=20)


async def test_a_namespaced_operator_from_a_registry_runs_with_roles_alone(
    scenario: Scenario, helm: Helm, images: Images, teams: Kube, oci: str, tmp_path: Path
) -> None:
    """The pushed package, installed for one namespace, runs with Roles only; its removal leaves nothing but a Lease."""
    archive = package(helm.program, tmp_path)

    async def pushed() -> bool:
        try:
            push(helm.program, archive, oci, "--plain-http")
        except HelmError as error:
            if "connection refused" in str(error):
                return False
            raise
        return True

    await eventually(pushed, bool, what="the registry takes the package", within=30)
    before = await objects_of(teams)
    helm.install(
        images, release=OTHER_RELEASE, namespace=teams.namespace, chart=f"{oci}/realtime-operator", plain_http=True,
        watchNamespaces=[scenario.kube.namespace], replicas=2, crds={"install": False}, rbac={"aggregateRoles": False},
        webhook={"enabled": False},
    )  # fmt: skip
    try:
        log = await teams.kubectl("logs", "--selector", f"app.kubernetes.io/instance={OTHER_RELEASE}", "--tail=-1")
        assert "orbidden" not in log, log
        lease = await teams.kubectl("get", "leases", "-o", "jsonpath={.items[*].spec.holderIdentity}")
        assert lease.startswith(OTHER_RELEASE)
    finally:
        helm.uninstall(release=OTHER_RELEASE, namespace=teams.namespace)
    await eventually(
        lambda: objects_of(teams),
        lambda found: {name.split("/")[0] for name in found - before} == {"lease.coordination.k8s.io"},
        what="only the Lease is left", within=60, show=sorted,
    )  # fmt: skip
    whole = await teams.kubectl(
        "get", "clusterroles,clusterrolebindings", "-l", f"app.kubernetes.io/instance={OTHER_RELEASE}", "-o", "name"
    )
    assert whole == ""


async def objects_of(kube: Kube) -> set[str]:
    """Return kind and name of all objects of the namespace but Events and metrics."""
    kinds = (await kube.kubectl("api-resources", "--namespaced", "--verbs=list,delete", "-o", "name")).split()
    listed = [kind for kind in kinds if not kind.startswith("events")]
    return set((await kube.kubectl("get", ",".join(listed), "-o", "name", "--ignore-not-found")).split())


async def test_helm_test_publishes_and_receives(scenario: Scenario, helm: Helm) -> None:
    """`helm test` ends well, and takes its cluster and its pod away."""
    printed = helm.run("test", RELEASE, "--namespace", NAMESPACE, "--timeout", "150s")
    assert printed.count("Phase:          Succeeded") == 2, printed
    await scenario.system.kubectl("wait", "--for=delete", f"rtc/{RELEASE}-test", "--timeout=20s")
    assert await scenario.system.get("pods", f"{RELEASE}-test-message") is None


async def test_an_upgrade_changes_the_crd_and_removal_keeps_it(
    scenario: Scenario, helm: Helm, images: Images, tmp_path: Path
) -> None:
    """`helm upgrade` brings new fields; `helm uninstall` leaves the CRD, the clusters and their servers."""
    field = "jsonpath={.spec.versions[0].schema.openAPIV3Schema.properties.spec.properties.networkPolicy.type}"
    crd = ("get", "crd", f"{naming.PLURAL}.{naming.GROUP}", "-o", field)
    older = tmp_path / "older"
    shutil.copytree(CHART, older)
    (file,) = (older / "files" / "crds").iterdir()
    definition = yaml.safe_load(file.read_text())
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    del schema["properties"]["spec"]["properties"]["networkPolicy"]
    schema["x-kubernetes-validations"] = [
        rule for rule in schema["x-kubernetes-validations"] if "networkPolicy" not in rule["rule"]
    ]
    file.write_text(yaml.safe_dump(definition))
    try:
        helm.install(images, chart=str(older))
        assert await scenario.kube.kubectl(*crd) == ""
        helm.install(images)
        assert await scenario.kube.kubectl(*crd) == "object"
        cluster = scenario.cluster()
        await cluster.apply(manifest("main", replicas=1))
        await cluster.wait_ready(within=120)
        before = await cluster.children()
        helm.uninstall()
        async with await cluster.api() as api:
            await api.call("publish", channel="chat:lobby", data="still there")
        assert await cluster.children() == before
    finally:
        helm.install(images)
    await cluster.wait_ready(within=120)
