"""What is as it should be is not touched."""

from __future__ import annotations

import time

from tests.kit.deadline import eventually
from tests.kit.running_cluster import RESYNC_SECONDS, RunningCluster, manifest

QUIET_SECONDS = 1.25 * RESYNC_SECONDS
SETTLING_SECONDS = 10
"""Until the last write that follows a change."""


async def test_a_settled_cluster_plans_nothing(cluster: RunningCluster) -> None:
    """Looked at again, and told again what it is already: soon nothing is written any more, and nothing was said."""
    document = manifest("main", replicas=2)
    await cluster.apply(document)
    await cluster.wait_ready()
    told = await cluster.events()
    await cluster.apply(document)
    written: object = None
    since = time.monotonic()

    async def quiet_for() -> float:
        nonlocal written, since
        before, written = written, await cluster.writes()
        if written != before:
            since = time.monotonic()
        return time.monotonic() - since

    await eventually(
        quiet_for, lambda seconds: seconds > QUIET_SECONDS, what="no writes", within=QUIET_SECONDS + SETTLING_SECONDS
    )
    assert written
    assert await cluster.events() == told
