"""Fixtures of scenarios with real controllers of Ingress and Gateway API."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from realtime_operator.api.base import JsonObject
from tests.kit.certificates import Mount
from tests.kit.cluster.environment import Environment
from tests.kit.controllers.controller import Controller
from tests.kit.controllers.programs import ControllerPrograms
from tests.kit.kube import Access, Kube

if TYPE_CHECKING:  # a plugin that is imported before it is registered is not rewritten
    from tests.kit.kubernetes_fixtures import Scenario

SCENARIO_SECONDS = 240

MakeController = Callable[[type[Controller]], Awaitable[Controller]]
"""Function that makes a controller of a class, which is not started yet."""


def pytest_configure(config: pytest.Config) -> None:
    """Fail with a clear message when the environment is incomplete."""
    if config.getoption("--platform") != "kubernetes":
        raise pytest.UsageError("tests/controllers needs a cluster and programs: `make e2e-controllers` has both")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give scenarios longer timeouts than unit tests."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(SCENARIO_SECONDS))


@pytest.fixture(scope="session")
def programs() -> ControllerPrograms:
    """The installed programs."""
    return ControllerPrograms.from_environ()


@pytest.fixture(scope="session", autouse=True)
def definitions(programs: ControllerPrograms, access: Access) -> Iterator[None]:
    """The CRDs that the controllers need, before the operator is installed; they are removed at the end."""
    text = json.dumps({"apiVersion": "v1", "kind": "List", "items": json.loads(programs.crds.read_text())})
    kube = Kube(access, "default")
    # Their schemas are larger than what an apply keeps in an annotation.
    asyncio.run(kube.kubectl("apply", "--server-side", "-f", "-", stdin=text))
    try:
        yield
    finally:
        asyncio.run(kube.kubectl("delete", "--wait=false", "-f", "-", stdin=text))


@pytest.fixture
async def edge(scenario: Scenario) -> AsyncIterator[Kube]:
    """A namespace beside that of the scenario, for Gateways."""
    edge = scenario.kube.within(f"{scenario.kube.namespace}-edge")
    await edge.create_namespace()
    yield edge
    await edge.kubectl("delete", "namespace", edge.namespace, "--wait=false")


@pytest.fixture
async def make_controller(
    programs: ControllerPrograms, environment: Environment, edge: Kube, tmp_path: Path
) -> AsyncIterator[MakeController]:
    """Return a function that makes a controller and its classes, which are removed after the test."""
    made: list[JsonObject] = []

    async def make(kind: type[Controller]) -> Controller:
        controller = kind(programs, environment.kubeconfig, tmp_path / kind.__name__, edge.namespace)
        made.extend(controller.classes())
        await edge.apply(*controller.classes())
        return controller

    yield make
    for document in made:
        await edge.kubectl("delete", "--wait=false", "-f", "-", stdin=json.dumps(document))


@pytest.fixture
def mount(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mount:
    """A certificate of localhost, which the SDK trusts."""
    made = Mount(tmp_path / "tls")
    made.issue()
    monkeypatch.setenv("NODE_EXTRA_CA_CERTS", str(made.authority))
    return made
