"""Selection and timeouts of scenarios, by platform."""

from __future__ import annotations

from pathlib import Path

import pytest

SCENARIO_SECONDS = {"local": 60, "kubernetes": 180}
collect_ignore: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    """Collect scenarios of the local platform on that platform only."""
    if config.getoption("--platform") != "local":
        collect_ignore.append("local")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give scenarios the timeouts of the platform."""
    seconds = SCENARIO_SECONDS[config.getoption("--platform")]
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(seconds))
