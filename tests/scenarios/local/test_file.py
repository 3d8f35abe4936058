"""The file is followed, and a file that cannot be used changes nothing."""

from __future__ import annotations

import shutil

from tests.kit.document import dig
from tests.kit.local_cluster import LocalCluster
from tests.kit.running_cluster import manifest


async def test_a_change_of_the_file_is_followed(cluster: LocalCluster) -> None:
    """The change is announced with what it will do, and rolled out."""
    await cluster.apply(manifest("main", replicas=1))
    before = await cluster.wait_ready()
    await cluster.apply(manifest("main", replicas=1, server={"limits": {"messagesPerSecond": 200}}))
    await cluster.up.said("spec.server")
    after = await cluster.wait_ready()
    assert dig(after, "metadata", "generation") == 2
    assert dig(after, "metadata", "uid") == dig(before, "metadata", "uid")
    assert dig(after, "status", "currentRevision") != dig(before, "status", "currentRevision")


async def test_a_file_with_an_error_changes_nothing_and_says_where(cluster: LocalCluster) -> None:
    """No YAML, a wrong value, another name, no file: each is told with its place; then the file is followed again."""
    good = manifest("main", replicas=1)
    await cluster.apply(good)
    before = await cluster.wait_ready()
    servers, writes = await cluster.servers(), await cluster.writes()
    up = cluster.up
    cluster.save_text("kind: [")
    await up.said(f"{up.file}: is not YAML: while parsing a flow node")
    await up.said("line 1, column 8")
    cluster.save(manifest("main", replicas=-1))
    await up.said(f'{up.file}: RealtimeCluster "main" is invalid:')
    await up.said("spec.replicas")
    cluster.save(manifest("other", replicas=1))
    await up.said(f"{up.file}: the name is other now")
    up.file.unlink()
    await up.said(f"{up.file}: cannot be read: No such file or directory")
    assert await cluster.get() == before
    assert [server.name for server in await cluster.servers()] == [server.name for server in servers]
    assert await cluster.writes() == writes
    await cluster.apply(manifest("main", replicas=2))
    assert dig(await cluster.wait_ready(), "status", "readyReplicas") == 2


async def test_a_file_saved_while_redis_cannot_start_is_followed(cluster: LocalCluster) -> None:
    """Somebody has put a file where its folder is: the change is taken, and carried out once that is put right."""
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready()
    redis = cluster.up.state / "redis"
    shutil.rmtree(redis)
    redis.touch()
    await cluster.kill_redis()
    await cluster.up.said("reconcile failed")
    await cluster.apply(manifest("main", replicas=2))
    await cluster.up.said(f"cannot write {redis}/redis.conf: Not a directory")
    redis.unlink()
    redis.mkdir()
    assert dig(await cluster.wait_ready(), "status", "readyReplicas") == 2
