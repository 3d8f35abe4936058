"""Local platform within this process: concurrent changes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from realtime_operator.cli.cluster_file import read
from realtime_operator.cli.local_run import Listener, LocalOptions, LocalRun
from realtime_operator.platforms.local.server_files import Ports
from tests.kit.deadline import eventually
from tests.kit.raw_client import raw_client
from tests.kit.realtime_command import processes_that_name
from tests.kit.redis_process import free_port
from tests.kit.running_cluster import QUICKSTART

READY_SECONDS = 20


@pytest.fixture
async def run() -> AsyncIterator[LocalRun]:
    """Start the quickstart's cluster, and wait until it is ready."""
    async with running(QUICKSTART) as opened:
        yield opened


@contextlib.asynccontextmanager
async def running(
    file: Path, *, ignore_tokens: bool = False, on_notice: Callable[[str], None] = lambda _: None
) -> AsyncIterator[LocalRun]:
    """Start the cluster of a file, and wait until it is ready."""
    folder = Path(tempfile.mkdtemp(prefix="rt-"))  # sockets have short paths
    listener = Listener(lambda _: None, lambda _: None, lambda _: None, on_notice, lambda _: None)
    options = LocalOptions(file, folder, Ports(client=free_port(), api=free_port()), ignore_tokens=ignore_tokens)
    try:
        async with LocalRun.open(options, listener) as opened:
            async with asyncio.timeout(READY_SECONDS):
                await opened.became_ready()
            yield opened
    finally:
        shutil.rmtree(folder)


async def test_looks_at_the_same_time_start_nothing_twice(run: LocalRun) -> None:
    """A saved file and the recovery of a killed process are handled at once."""
    state, servers = str(run.options.state_dir), list(run.fleet.servers)

    async def count() -> int:
        return len(run.fleet.servers)

    for process in processes_that_name(state):
        os.kill(process, signal.SIGKILL)
    async with asyncio.timeout(READY_SECONDS):
        await asyncio.gather(*(server.process.ended() for server in servers))
    file = read(QUICKSTART)
    await asyncio.gather(*(run.forecast_of(file) for _ in range(3)))
    assert len(processes_that_name(state, "redis-server")) == 1
    assert len(run.fleet.servers) <= 2
    # the platform's own look may have removed one, and not replaced it yet
    await eventually(count, lambda found: found == 2, what="both replaced", within=READY_SECONDS, every=0.05)
    assert len(processes_that_name(state, "redis-server")) == 1


async def test_tokens_can_be_ignored(tmp_path: Path) -> None:
    """The file admits nobody without a token; a notice says that tokens are ignored."""
    file = tmp_path / "closed.yaml"
    file.write_text(
        "apiVersion: realtime.dev/v1alpha1\nkind: RealtimeCluster\nmetadata: {name: closed}\n"
        "spec: {replicas: 1, namespaces: [{name: closed, subscribe: Token}]}\n"
    )
    notices: list[str] = []
    async with running(file, ignore_tokens=True, on_notice=notices.append) as opened:
        assert [notice for notice in notices if notice.startswith("tokens are ignored")]
        async with raw_client(opened.options.ports.client_url) as client:
            await client.connect("")
            await client.subscribe("closed:a")


async def test_volume_and_replicas_of_redis_are_told_to_be_missing(tmp_path: Path) -> None:
    """The file asks for what one machine does not have: it runs all the same, and a notice says what is different."""
    file = tmp_path / "persistent.yaml"
    file.write_text(
        "apiVersion: realtime.dev/v1alpha1\nkind: RealtimeCluster\nmetadata: {name: kept}\n"
        "spec: {replicas: 1, backplane: {redis: {managed: {mode: Failover, persistence: {size: 1Gi}}}}}\n"
    )
    notices: list[str] = []
    async with running(file, on_notice=notices.append):
        assert [notice for notice in notices if "without a volume" in notice]
