"""The local platform for each scenario. A plugin: tests/conftest.py loads it for --platform=local."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.kit.local_cluster import LocalCluster, local_cluster


@pytest.fixture
async def cluster() -> AsyncIterator[LocalCluster]:
    """The cluster of a scenario; its output and logs are shown when the scenario fails."""
    async with local_cluster() as made:
        yield made
