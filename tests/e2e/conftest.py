"""Fixtures of scenarios that need Kubernetes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.kit.cluster.environment import Environment
from tests.kit.policy_enforcement import enforced

SCENARIO_SECONDS = 180


def pytest_configure(config: pytest.Config) -> None:
    """Fail with a clear message when the environment is incomplete."""
    if config.getoption("--platform") != "kubernetes":
        raise pytest.UsageError("tests/e2e needs --platform=kubernetes, and a cluster: `make e2e` has both")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give scenarios longer timeouts than unit tests."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(SCENARIO_SECONDS))


@pytest.fixture
async def enforcement(environment: Environment, tmp_path: Path) -> AsyncIterator[None]:
    """Enforce NetworkPolicies during the scenario."""
    with enforced(environment, tmp_path / "kube-router.log"):
        yield
