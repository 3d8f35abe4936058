"""Scenarios of rollouts without losses."""

from __future__ import annotations

from tests.kit.deadline import stays
from tests.kit.document import dig, text_at
from tests.kit.ledger import largest_rate
from tests.kit.running_cluster import (
    RunningCluster,
    available_servers,
    manifest,
    never_fewer_available_than,
    wait_for_servers,
)
from tests.kit.traffic import assert_nothing_lost, traffic


async def test_a_config_change_rolls_with_nothing_lost(cluster: RunningCluster) -> None:
    """Two subscribers of each SDK get 50 publications per second: no offset is lost, connections are moved."""
    await cluster.apply(manifest("main", replicas=2))
    before = await cluster.wait_ready()
    async with traffic(cluster) as running, never_fewer_available_than(cluster, 2):
        await cluster.patch(server={"limits": {"messagesPerSecond": 200}})
        after = await cluster.wait_ready()
        await assert_nothing_lost(running)
        moved = running.lost_connections()
        assert len(moved) >= 4, "every connection was on an old server"
        assert largest_rate(event.at for event in moved) <= 25
    assert dig(after, "status", "currentRevision") != dig(before, "status", "currentRevision")
    revisions = {server.revision for server in await available_servers(cluster)}
    assert revisions == {text_at(after, "status", "currentRevision")}
    warnings = [event for event in await cluster.events() if event.type == "Warning"]
    assert warnings == [], "a rollout in which all goes well alarms nobody"


async def test_a_paused_cluster_is_left_alone_until_resumed(cluster: RunningCluster) -> None:
    """With paused: true a change is not rolled out; afterwards it is, and nothing is lost."""
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready()
    names = {server.name for server in await cluster.servers()}
    async with traffic(cluster) as running:
        await cluster.patch(paused=True, server={"limits": {"messagesPerSecond": 300}})
        await cluster.wait(lambda o: dig(o, "status", "phase") == "Paused", what="Paused")
        await stays(cluster.servers, lambda now: {s.name for s in now} == names, what="the same servers", during=1)
        await cluster.patch(paused=False)
        await cluster.wait_ready()
        await wait_for_servers(
            cluster, lambda now: names.isdisjoint(s.name for s in now), what="old servers gone", within=30
        )
        await assert_nothing_lost(running)
