"""Scenarios of an image that does not exist."""

from __future__ import annotations

from tests.kit.document import dig, objects_at
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.running_cluster import is_settled, manifest, never_fewer_available_than
from tests.kit.traffic import assert_nothing_lost, traffic


async def test_an_image_that_cannot_be_pulled_harms_nobody(scenario: Scenario) -> None:
    """The rollout waits with the reason; old servers go on; a revert moves no connections."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    before = await cluster.wait_ready()
    async with traffic(cluster) as running, never_fewer_available_than(cluster, 1):
        await cluster.patch(image={"repository": "localhost/no-such-image", "tag": "none", "pullPolicy": "Never"})
        stored = await cluster.wait(
            lambda o: "no-such-image" in str(objects_at(o, "status", "conditions")), what="the reason told"
        )
        assert not is_settled(stored)
        assert len(await cluster.available()) == 1
        await cluster.patch(image=None)
        after = await cluster.wait_ready()
        await assert_nothing_lost(running, moved_by=None)
        assert running.lost_connections() == []
    assert dig(after, "status", "currentRevision") == dig(before, "status", "currentRevision")
