"""The operator, installed by its chart into a real Kubernetes, and a namespace for each scenario.

A plugin: tests/conftest.py loads it for --platform=kubernetes.
"""

from __future__ import annotations

import asyncio
import re
import zlib
from collections.abc import AsyncIterator, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.kit.cluster.environment import Environment
from tests.kit.dump import dump, folder_for
from tests.kit.installation import NAMESPACE, Helm, Images
from tests.kit.kube import Access, Kube, proxied
from tests.kit.live_cluster import LiveCluster

FAILURES = Path(__file__).parents[2] / "e2e-failures"
FAILED = pytest.StashKey[bool]()
MAX_NAME = 50


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Record whether the scenario failed, so that its fixture dumps the state."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def environment() -> Environment:
    """The cluster of `make e2e`, or the one of the user's KUBECONFIG."""
    return Environment.from_environ()


@pytest.fixture(scope="session")
def access(environment: Environment) -> Iterator[Access]:
    """Kubectl and a proxy to the API server."""
    with proxied(environment.kubectl, environment.kubeconfig) as access:
        yield access


@pytest.fixture(scope="session")
def helm(environment: Environment) -> Helm:
    """Helm for the cluster."""
    return Helm(environment.helm, environment.kubeconfig)


@pytest.fixture(scope="session")
def images(environment: Environment) -> Images:
    """References of the images in the cluster."""
    return Images(environment.operator_image, environment.server_image, environment.redis_image)


@pytest.fixture(scope="session")
def earlier_images(environment: Environment) -> Images:
    """References of the images of EARLIER in the cluster."""
    return Images(environment.earlier_operator_image, environment.earlier_server_image, environment.redis_image)


@pytest.fixture(scope="session")
def installed(helm: Helm, images: Images, access: Access) -> Iterator[None]:
    """The operator, installed cluster-wide with one replica, in a namespace with the restricted Pod Security."""
    asyncio.run(Kube(access, NAMESPACE).create_namespace(exists_ok=True))
    helm.install(images)
    try:
        yield
    finally:
        helm.uninstall()


def namespace_of(test: str) -> str:
    """Return the namespace of a test, at most 54 characters; cases whose names begin alike have different ones."""
    name = re.sub(r"[^a-z0-9]+", "-", test.removeprefix("test_").lower()).strip("-")
    if len(name) > MAX_NAME:
        name = f"{name[: MAX_NAME - 9].strip('-')}-{zlib.crc32(test.encode()):08x}"
    return f"e2e-{name}"


@dataclass(frozen=True, slots=True)
class Scenario:
    """The namespaces of a scenario: its own (`kube`), and the operator's (`system`)."""

    kube: Kube
    system: Kube

    def cluster(self, name: str = "main") -> LiveCluster:
        """Return a RealtimeCluster of the scenario's namespace."""
        return LiveCluster(self.kube, name)


@pytest.fixture
async def scenario(request: pytest.FixtureRequest, access: Access, installed: None) -> AsyncIterator[Scenario]:  # noqa: ARG001
    """A fresh namespace; after a failure its state and the operator's are dumped to e2e-failures/."""
    async with Kube(access, namespace_of(request.node.name)) as kube:
        system = kube.within(NAMESPACE)
        # that of a failed run of the same test may be there until its pods have ended
        await kube.kubectl("wait", "--for=delete", f"namespace/{kube.namespace}", "--timeout=55s")
        await kube.create_namespace()
        try:
            yield Scenario(kube, system)
        finally:
            if request.node.stash.get(FAILED, False):
                folder = folder_for(FAILURES, request.node.name)
                await dump(kube, folder)
                await dump(system, folder)
            await kube.kubectl("delete", "namespace", kube.namespace, "--wait=false")


@pytest.fixture
def cluster(scenario: Scenario) -> LiveCluster:
    """The cluster of a scenario that runs on every platform."""
    return scenario.cluster()
