"""Scenarios of an upgrade of the operator: to one with other defaults, and from an earlier commit."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from tests.kit.cluster.images import EARLIER
from tests.kit.deadline import stays
from tests.kit.document import dig, object_at, text_at
from tests.kit.earlier_commit import unpack
from tests.kit.installation import Helm, Images
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.running_cluster import manifest
from tests.kit.traffic import assert_nothing_lost, traffic

NOWHERE = "localhost/not-pulled-by-anybody:2"
QUIET_SECONDS = 8
"""Seconds in which the operator reconciles every cluster more than once."""


async def test_an_upgrade_of_the_operator_moves_nobody(scenario: Scenario, helm: Helm, images: Images) -> None:
    """Default images that do not exist are not used: pods keep theirs, also added ones, and so does Redis."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=2))
    before = await cluster.wait_ready()
    children = await cluster.children()
    pods = {server.name for server in await cluster.servers()}
    try:
        async with traffic(cluster) as running:
            await asyncio.to_thread(helm.install, replace(images, server=NOWHERE, redis=NOWHERE))
            upgraded = await cluster.wait(
                lambda o: text_at(o, "status", "defaults", "serverImage") == NOWHERE, what="seen by the new operator"
            )
            await stays(cluster.children, lambda now: now == children, what="the same objects", during=QUIET_SECONDS)
            assert {server.name for server in await cluster.servers()} == pods
            assert dig(upgraded, "status", "newerDefaults") == ["Servers", "Redis"]
            assert object_at(upgraded, "status", "madeWith")["serverImage"] == images.server
            await cluster.scale(3)
            scaled = await cluster.wait_ready()
            assert dig(scaled, "status", "targetRevision") == dig(before, "status", "targetRevision")
            await assert_nothing_lost(running, moved_by=None)
            assert running.lost_connections() == []
    finally:
        await asyncio.to_thread(helm.install, images)


async def test_a_cluster_of_an_earlier_commit_is_upgraded_under_load(
    scenario: Scenario, helm: Helm, images: Images, earlier_images: Images, tmp_path: Path
) -> None:
    """CRD and operator move nobody and change no object of a server; the next change of the spec brings new servers.

    They have today's image and defaults, and nothing is lost on the way to them.
    """
    unpack(EARLIER, tmp_path / "earlier", "helm")
    chart = str(tmp_path / "earlier" / "helm" / "realtime-operator")
    await asyncio.to_thread(helm.install, earlier_images, chart=chart, networkPolicy=None, webhook=None)
    try:
        cluster = scenario.cluster()
        await cluster.apply(manifest("main", replicas=2))
        before = await cluster.wait_ready()
        made = await cluster.children()
        pods = {server.name for server in await cluster.servers()}
        async with traffic(cluster) as running:
            await asyncio.to_thread(helm.install, images)
            upgraded = await cluster.wait(
                lambda o: text_at(o, "status", "defaults", "serverImage") == images.server, what="seen by the operator"
            )
            await stays(
                cluster.children, lambda now: made.items() <= now.items(), what="the same objects", during=QUIET_SECONDS
            )
            assert {server.name for server in await cluster.servers()} == pods
            assert running.lost_connections() == []
            assert dig(upgraded, "status", "madeWith", "serverImage") == earlier_images.server
            assert "Servers" in str(dig(upgraded, "status", "newerDefaults"))
            await cluster.patch(server={"limits": {"messagesPerSecond": 200}})
            after = await cluster.wait_ready()
            await assert_nothing_lost(running)
    finally:
        await asyncio.to_thread(helm.install, images)
    assert dig(after, "status", "madeWith", "serverImage") == images.server
    assert dig(after, "status", "targetRevision") != dig(before, "status", "targetRevision")
    specs = [object_at(pod, "spec") for pod in await cluster.available()]
    assert {text_at(spec, "containers", 0, "image") for spec in specs} == {images.server}
