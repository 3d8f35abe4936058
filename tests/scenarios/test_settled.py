"""What is as it should be is not touched."""

from __future__ import annotations

from tests.kit.deadline import eventually, stays
from tests.kit.running_cluster import RESYNC_SECONDS, RunningCluster, manifest


async def test_a_settled_cluster_plans_nothing(cluster: RunningCluster) -> None:
    """Looked at again, and told again what it is already, nothing of it is written and nothing is said."""
    document = manifest("main", replicas=2)
    await cluster.apply(document)
    await cluster.wait_ready()
    before = await _quiet(cluster)
    assert before
    told = await cluster.events()
    await cluster.apply(document)
    await stays(cluster.writes, lambda now: now == before, what="no writes", during=1.25 * RESYNC_SECONDS)
    assert await cluster.events() == told


async def _quiet(cluster: RunningCluster) -> object:
    """What was written, once a second has passed in which nothing was."""
    last: object = None

    async def unchanged() -> bool:
        nonlocal last
        before, last = last, await cluster.writes()
        return before == last

    await eventually(unchanged, bool, what="nothing written for a second", within=20, every=1)
    return last
