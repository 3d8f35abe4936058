"""A state folder belongs to one platform."""

from __future__ import annotations

from tests.kit.local_cluster import LocalCluster
from tests.kit.realtime_command import realtime
from tests.kit.redis_process import free_port
from tests.kit.running_cluster import is_settled, manifest


async def test_a_second_platform_on_the_same_folder_is_refused(cluster: LocalCluster) -> None:
    """With the process id of the first one, which goes on."""
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready()
    servers, process = await cluster.servers(), cluster.up.process
    assert process is not None
    ports = ("--port", str(free_port()), "--api-port", str(free_port()))
    second = await realtime("up", "-f", str(cluster.up.file), "--state-dir", str(cluster.up.state), *ports)
    assert second.code == 1
    assert f"{cluster.up.state} is used by process {process.pid}" in second.complaints
    assert f"kill {process.pid}" in second.complaints
    assert is_settled(await cluster.get())
    assert await cluster.servers() == servers
