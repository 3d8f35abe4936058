"""A change of the specification is rolled out, and nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from realtime_operator import naming
from tests.e2e.conftest import Scenario
from tests.kit.deadline import eventually, stays
from tests.kit.document import dig, objects_at, text_at
from tests.kit.kube import name_of
from tests.kit.ledger import largest_rate
from tests.kit.live_cluster import LiveCluster, is_settled, manifest
from tests.kit.traffic import Traffic, finish, traffic


@contextlib.asynccontextmanager
async def never_fewer_available_than(cluster: LiveCluster, least: int) -> AsyncIterator[None]:
    """Fail if at any look during the body fewer servers were ready and behind the Service."""
    seen: list[int] = []

    async def look() -> None:
        while True:
            seen.append(len(await cluster.available()))
            await asyncio.sleep(0.1)

    task = asyncio.create_task(look(), name="availability")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    assert min(seen) >= least, f"available servers over time: {seen}"


async def assert_nothing_lost(running: Traffic, *, moved_by: int | None = 3011) -> None:
    """Close the books: every publication once, in order; every recovery true; connections moved by the code only."""
    result = await finish(running)
    assert result.exact, result.describe()
    assert running.publisher.failed == []
    assert all(event.recovered for event in running.recoveries()), running.recoveries()
    if moved_by is not None:
        assert {event.code for event in running.lost_connections()} == {moved_by}, running.lost_connections()


async def warnings_of(scenario: Scenario, cluster: LiveCluster) -> list[str]:
    """Return the warnings that the operator has told about the cluster."""
    return [
        text_at(event, "message")
        for event in await scenario.kube.list("events")
        if text_at(event, "involvedObject", "name") == cluster.name and text_at(event, "type") == "Warning"
    ]


async def test_a_config_change_rolls_with_nothing_lost(scenario: Scenario) -> None:
    """Two subscribers of each SDK, 50 publications a second: every offset is accounted for, connections are moved."""
    cluster = scenario.cluster()
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
    revisions = {text_at(pod, "metadata", "labels", naming.LABEL_REVISION) for pod in await cluster.available()}
    assert revisions == {text_at(after, "status", "currentRevision")}
    assert await warnings_of(scenario, cluster) == [], "a rollout in which all goes well alarms nobody"


async def test_an_image_that_cannot_be_pulled_harms_nobody(scenario: Scenario) -> None:
    """The rollout waits and says why; the old servers go on; putting the image back needs no move at all."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    before = await cluster.wait_ready()
    async with traffic(cluster) as running, never_fewer_available_than(cluster, 1):
        await cluster.patch(image={"repository": "localhost/no-such-image", "tag": "none", "pullPolicy": "Never"})
        told = await cluster.wait(
            lambda o: "no-such-image" in str(objects_at(o, "status", "conditions")), what="the reason told"
        )
        assert not is_settled(told)
        assert len(await cluster.available()) == 1
        await cluster.patch(image=None)
        after = await cluster.wait_ready()
        await assert_nothing_lost(running, moved_by=None)
        assert running.lost_connections() == []
    assert dig(after, "status", "currentRevision") == dig(before, "status", "currentRevision")


async def test_a_paused_cluster_is_left_alone_until_resumed(scenario: Scenario) -> None:
    """With paused: true a change is not rolled out; without it, it is, and nothing is lost."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready()
    names = {name_of(pod) for pod in await cluster.pods()}
    async with traffic(cluster) as running:
        await cluster.patch(paused=True, server={"limits": {"messagesPerSecond": 300}})
        await cluster.wait(lambda o: dig(o, "status", "phase") == "Paused", what="Paused")
        await stays(cluster.pods, lambda pods: {name_of(p) for p in pods} == names, what="the same pods", during=3)
        await cluster.patch(paused=False)
        await cluster.wait_ready()
        await eventually(
            cluster.pods, lambda pods: names.isdisjoint(map(name_of, pods)), what="old pods gone", within=30
        )
        await assert_nothing_lost(running)
