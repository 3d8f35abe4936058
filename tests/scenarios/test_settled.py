"""Scenario of a settled cluster."""

from __future__ import annotations

import time

from tests.kit.deadline import eventually
from tests.kit.running_cluster import RESYNC_SECONDS, RunningCluster, manifest

QUIET_SECONDS = 1.25 * RESYNC_SECONDS
SETTLING_SECONDS = 10
"""Seconds until the last write that follows a change."""


async def test_a_settled_cluster_plans_nothing(cluster: RunningCluster) -> None:
    """After a repeated apply of the same file, writes and Events end soon."""
    document = manifest("main", replicas=2)
    await cluster.apply(document)
    await cluster.wait_ready()
    await cluster.apply(document)
    seen: object = None
    since = time.monotonic()

    async def quiet_for() -> float:
        nonlocal seen, since
        before, seen = seen, (await cluster.writes(), await cluster.events())
        if seen != before:
            since = time.monotonic()
        return time.monotonic() - since

    within = QUIET_SECONDS + SETTLING_SECONDS
    await eventually(quiet_for, lambda seconds: seconds > QUIET_SECONDS, what="nothing written or said", within=within)
    assert await cluster.writes()
    events = await cluster.events()
    assert len(set(events)) == len(events), "something was said twice"
