"""Scenarios of the platform's end: no process is left, and the next one continues."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from tests.kit.clients import all_subscribed
from tests.kit.deadline import eventually
from tests.kit.document import dig, text_at
from tests.kit.local_cluster import LocalCluster
from tests.kit.running_cluster import is_settled, manifest
from tests.kit.traffic import CHANNEL, subscribers

GONE_SECONDS = 5
SLOWLY = {"maxSurge": 1, "maxUnavailable": 0, "drain": {"connectionsPerSecond": 1, "settle": "1s"}}


async def nothing_runs(cluster: LocalCluster) -> None:
    """Wait until no process of the platform is left, whatever its parent."""

    async def processes() -> list[int]:
        return cluster.up.processes()

    await eventually(processes, lambda left: not left, what="no process left", within=GONE_SECONDS, every=0.05)


def assert_clean(state: Path) -> None:
    """Assert that sockets and servers' folders are removed, and logs and credentials are kept."""
    assert [str(path) for path in state.rglob("*") if path.is_socket()] == []
    assert list((state / "run").iterdir()) == []
    assert not (state / "servers").exists()
    assert [path.name for path in state.glob("logs/main-*.log")] != []
    assert list((state / "secrets" / "main-credentials").iterdir()) != []


async def test_a_platform_killed_in_a_rollout_leaves_nothing_and_goes_on_when_started_again(
    cluster: LocalCluster,
) -> None:
    """SIGKILL: servers and Redis end too; the next platform cleans up and rolls out; clients return with old tokens."""
    await cluster.apply(manifest("main", rollout=SLOWLY))
    await cluster.wait_ready()
    async with subscribers(cluster) as groups:
        changed = manifest("main", rollout=SLOWLY, server={"limits": {"messagesPerSecond": 200}})
        await cluster.apply(changed)
        rolling = await cluster.wait(lambda o: bool(dig(o, "status", "rollout", "drainingServers")), what="a drain")
        assert await cluster.up.signal(signal.SIGKILL) == -signal.SIGKILL
        await nothing_runs(cluster)
        await cluster.start()
        await cluster.up.wait_for_output(
            "an earlier run ended without cleaning up; its processes and files have been removed"
        )
        ready = await cluster.wait_ready()
        assert ready["spec"] == changed["spec"]
        assert text_at(ready, "status", "currentRevision") == text_at(rolling, "status", "targetRevision")
        for group in groups:  # their tokens were made before
            await all_subscribed(group)
        async with await cluster.api() as api:
            await api.publish(CHANNEL, "again")
        for group in groups:
            await group.record.wait(lambda r: len(r.publications()) == 2, what="the publication at both clients")


async def test_an_interrupt_ends_everything(cluster: LocalCluster) -> None:
    """SIGINT moves clients away; then no process, socket or server's folder is left; logs and Secrets are kept."""
    await cluster.apply(manifest("main"))
    await cluster.wait_ready()
    async with subscribers(cluster) as groups:
        assert await cluster.up.signal(signal.SIGINT) == 0
        assert cluster.up.processes() == []
        lost = {event.code for group in groups for event in group.record.lost_connections()}
        assert lost == {3011}, "every client was told to go"
    assert_clean(cluster.up.state)


async def test_an_interrupt_in_the_start_ends_everything(cluster: LocalCluster) -> None:
    """SIGINT before the cluster is ready leaves nothing behind either."""
    await cluster.apply(manifest("main", replicas=3))
    await eventually(cluster.servers, bool, what="a server starts", within=10, every=0.01)
    assert not is_settled(await cluster.get())
    assert await cluster.up.signal(signal.SIGINT) == 0
    assert cluster.up.processes() == []
    assert_clean(cluster.up.state)


async def test_two_interrupts_end_everything_at_once(cluster: LocalCluster) -> None:
    """The second SIGINT ends a drain of minutes."""
    slow = {"maxSurge": 1, "maxUnavailable": 0, "drain": {"connectionsPerSecond": 1, "settle": "1s", "timeout": "10m"}}
    await cluster.apply(manifest("main", replicas=1, rollout=slow))
    await cluster.wait_ready()
    async with subscribers(cluster, per_sdk=10):
        assert cluster.up.process is not None
        cluster.up.process.send_signal(signal.SIGINT)
        await cluster.up.wait_for_output("Ctrl-C again: at once")
        async with asyncio.timeout(GONE_SECONDS):
            assert await cluster.up.signal(signal.SIGINT) == 0
        assert cluster.up.processes() == []
    assert_clean(cluster.up.state)
