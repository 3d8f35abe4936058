"""The same scenarios on every platform."""

from __future__ import annotations

from pathlib import Path

import pytest

SCENARIO_SECONDS = {"local": 60, "kubernetes": 180}
collect_ignore: list[str] = []


def pytest_configure(config: pytest.Config) -> None:
    """Collect what only the local platform has for that platform only."""
    if config.getoption("--platform") != "local":
        collect_ignore.append("local")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give scenarios as much time as the platform needs."""
    seconds = SCENARIO_SECONDS[config.getoption("--platform")]
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(seconds))
