"""Fixtures of scenarios with programs that only `make e2e-monitoring` builds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kit.cluster.layout import Layout
from tests.kit.monitoring.programs import prometheus, prometheus_operator

SCENARIO_SECONDS = 300


def pytest_configure(config: pytest.Config) -> None:
    """Fail with a clear message when the environment is incomplete."""
    if config.getoption("--platform") != "kubernetes":
        raise pytest.UsageError("tests/monitoring needs --platform=kubernetes: `make e2e-monitoring` has it")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give scenarios longer timeouts than unit tests."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(SCENARIO_SECONDS))


@pytest.fixture(scope="session")
def prometheus_program() -> Path:
    """Prometheus with the discovery of pods."""
    return prometheus(Layout.from_environ()).target


@pytest.fixture(scope="session")
def prometheus_operator_program() -> Path:
    """The Prometheus operator."""
    return prometheus_operator(Layout.from_environ()).target
