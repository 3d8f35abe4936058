"""Scenarios of what only Kubernetes has."""

from __future__ import annotations

from pathlib import Path

import pytest

SCENARIO_SECONDS = 180


def pytest_configure(config: pytest.Config) -> None:
    """Say what is missing, instead of fixtures that nobody knows."""
    if config.getoption("--platform") != "kubernetes":
        raise pytest.UsageError("tests/e2e needs --platform=kubernetes, and a cluster: `make e2e` has both")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give scenarios more time than unit tests have."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(SCENARIO_SECONDS))
