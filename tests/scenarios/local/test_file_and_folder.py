"""Scenarios of the file, which is followed when valid, and of the folder, which belongs to one platform.

All on one platform: each scenario begins with a settled cluster of one server.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.kit.document import dig, whole_at
from tests.kit.kube import has_condition
from tests.kit.local_cluster import LocalCluster, local_cluster
from tests.kit.realtime_command import realtime
from tests.kit.redis_process import free_port
from tests.kit.running_cluster import is_settled, manifest

FASTER = {"maxSurge": 1, "maxUnavailable": 0, "drain": {"connectionsPerSecond": 30, "settle": "1s"}}
"""Another rollout policy, a change that replaces no server."""

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform() -> AsyncIterator[LocalCluster]:
    """The platform of this module."""
    async with local_cluster() as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def cluster(platform: LocalCluster) -> LocalCluster:
    """The cluster in the state in which every scenario finds it."""
    await platform.apply(manifest("main", replicas=1))
    await platform.wait_ready()
    return platform


async def test_a_change_of_the_file_is_followed(cluster: LocalCluster) -> None:
    """The change is announced, and applied to the running cluster."""
    before = await cluster.get()
    await cluster.apply(manifest("main", replicas=1, rollout=FASTER))
    await cluster.up.wait_for_output("spec.rollout.drain.connectionsPerSecond: 20 -> 30")
    after = await cluster.wait_ready()
    assert whole_at(after, "metadata", "generation") == whole_at(before, "metadata", "generation") + 1
    assert dig(after, "metadata", "uid") == dig(before, "metadata", "uid")


async def test_a_file_with_an_error_changes_nothing_and_says_where(cluster: LocalCluster) -> None:
    """Invalid YAML, an invalid value, another name and a missing file are reported; then the file is followed again."""
    before, servers, up = await cluster.get(), await cluster.servers(), cluster.up
    cluster.save_text("kind: [")
    await up.wait_for_output(f"{up.file}: is not YAML: while parsing a flow node")
    await up.wait_for_output("line 1, column 8")
    cluster.save(manifest("main", replicas=-1))
    await up.wait_for_output(f'{up.file}: RealtimeCluster "main" is invalid:')
    await up.wait_for_output("spec.replicas")
    cluster.save(manifest("other", replicas=1))
    await up.wait_for_output(f"{up.file}: the name has changed to other")
    up.file.unlink()
    await up.wait_for_output(f"{up.file}: cannot be read: No such file or directory")
    after = await cluster.get()
    assert (after["metadata"], after["spec"]) == (before["metadata"], before["spec"])
    assert await cluster.servers() == servers
    await cluster.apply(manifest("main", replicas=1, rollout=FASTER))
    await cluster.wait_ready()


async def test_a_file_saved_while_redis_cannot_start_is_followed(cluster: LocalCluster) -> None:
    """A file is in place of Redis' folder: the change is taken, and carried out after a repair."""
    redis = cluster.up.state / "redis"
    shutil.rmtree(redis)
    redis.touch()
    await cluster.kill_redis()
    await cluster.up.wait_for_output("reconcile failed")
    await cluster.apply(manifest("main", replicas=1, rollout=FASTER))
    await cluster.up.wait_for_output(f"cannot write {redis}/redis.conf: Not a directory")
    redis.unlink()
    redis.mkdir()
    ready = await cluster.wait_ready()
    assert dig(ready, "spec", "rollout") == FASTER
    assert has_condition(ready, "BackplaneReady")


async def test_a_second_platform_on_the_same_folder_is_refused(cluster: LocalCluster) -> None:
    """The error has the process id of the first platform, which goes on."""
    servers, process = await cluster.servers(), cluster.up.process
    assert process is not None
    ports = ("--port", str(free_port()), "--api-port", str(free_port()))
    second = await realtime("up", "-f", str(cluster.up.file), "--state-dir", str(cluster.up.state), *ports)
    assert second.code == 1
    assert f"{cluster.up.state} is used by process {process.pid}" in second.stderr
    assert f"kill {process.pid}" in second.stderr
    assert is_settled(await cluster.get())
    assert await cluster.servers() == servers
