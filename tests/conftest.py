"""What holds for all tests."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# A test gives the same result twice: it is not told by a busy machine's clock, and not by chance. Chance is for looking
# for new cases: HYPOTHESIS_PROFILE=explore.
settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.register_profile("explore", deadline=None, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))

pytest.register_assert_rewrite("tests.kit")  # so that a failed assertion in it tells the values

PLATFORMS = ("local", "kubernetes")
collect_ignore: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --platform."""
    parser.addoption("--platform", choices=PLATFORMS, default="local", help="where scenarios run (default: local)")


def pytest_configure(config: pytest.Config) -> None:
    """Load the fixtures of the platform; what only Kubernetes has is collected there only."""
    platform = config.getoption("--platform")
    config.pluginmanager.import_plugin(f"tests.kit.{platform}_fixtures")
    config.pluginmanager.import_plugin("tests.kit.apiserver_fixtures")
    if platform != "kubernetes":
        collect_ignore.extend(("e2e", "monitoring", "controllers"))
