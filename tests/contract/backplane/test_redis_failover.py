"""Failovers with and without loss of the last publications, and moving slots."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from realtime_server import settings
from realtime_server.backplane.redis_keys import Keys
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.values import HistoryOptions, HistoryQuery, StreamPosition
from tests.contract.backplane.account import publishing
from tests.contract.backplane.conftest import (
    PASSWORD,
    TIMING,
    Connect,
    Server,
    password_file,
    program_of,
    redis_server,
)
from tests.kit.deadline import eventually
from tests.kit.redis_cluster import RedisClusterDeployment, running_cluster
from tests.kit.redis_process import RedisProcess, cut_replication
from tests.kit.redis_sentinel import DOWN_AFTER_SECONDS, PRIMARY_NAME, SentinelDeployment, running_sentinels

KEPT = HistoryOptions(size=1000, ttl_seconds=60)
ALL = HistoryQuery(limit=-1)
FAILOVER_SECONDS = 25.0
CALL_SECONDS = 2 * TIMING.call + 0.5
PAUSE_MILLISECONDS = 10_000
PARTITIONS = 8


@pytest.fixture
def sentinels() -> Iterator[SentinelDeployment]:
    """Start sentinels for one test."""
    with running_sentinels(PASSWORD) as deployment:
        yield deployment


@pytest.fixture
def by_sentinels(sentinels: SentinelDeployment, tmp_path: Path) -> Connect:
    """Return a factory of servers that find the primary by sentinels, with the URL in a file."""
    url_file, prefix = tmp_path / "url", secrets.token_hex(4)
    url_file.write_text(sentinels.url)
    place = settings.Redis(url_file=url_file)
    return lambda timing=TIMING: redis_server(place, prefix, timing)


@pytest.fixture
def cluster() -> Iterator[RedisClusterDeployment]:
    """Start a cluster with replicas for one test."""
    with running_cluster(PASSWORD, replicas=True) as deployment:
        yield deployment


@pytest.fixture
def keys() -> Keys:
    """Return the names of the servers' keys."""
    return Keys(secrets.token_hex(4), PARTITIONS)


@pytest.fixture
def in_cluster(cluster: RedisClusterDeployment, keys: Keys, tmp_path: Path) -> Connect:
    """Return a factory of servers in the cluster, which know one node at first."""
    nodes = settings.RedisCluster(addresses=cluster.addresses[:1], partitions=PARTITIONS)
    place = settings.Redis(cluster=nodes, password_file=password_file(PASSWORD, tmp_path))
    prefix = keys.named(0).decode().lstrip("{").partition(":")[0]

    def connect(timing: object = TIMING) -> AbstractAsyncContextManager[Server]:
        del timing
        return redis_server(place, prefix)

    return connect


async def healthy(server: Server, *, wanted: bool = True) -> None:
    """Wait until the server is healthy, or is not."""

    async def read() -> bool:
        return server.broker.healthy

    await eventually(read, lambda seen: seen is wanted, what=f"healthy: {wanted}", within=FAILOVER_SECONDS, every=0.01)


async def publish(server: Server, channel: str, *texts: bytes) -> StreamPosition:
    """Publish with history; return the last position."""
    position = None
    for text in texts:
        position = await server.broker.publish(channel, text, KEPT)
    assert position is not None
    return position


def wait_replicated(primary: RedisProcess) -> None:
    """Wait until the replica has all data of the primary."""
    assert primary.ask("WAIT", 1, 5000) == 1


# Sentinel


async def test_a_failover_without_loss_keeps_positions(sentinels: SentinelDeployment, by_sentinels: Connect) -> None:
    """Both servers follow, positions stay valid, and the next publication has the next offset."""
    async with by_sentinels() as one, by_sentinels() as other:
        await other.broker.subscribe("news")
        before = await publish(one, "news", b"1", b"2")
        primary = sentinels.primary()
        await asyncio.to_thread(wait_replicated, primary)
        primary.stop()
        await healthy(other, wanted=False)
        await asyncio.to_thread(sentinels.wait_failover, primary)
        for server in (one, other):
            await healthy(server)
        page = await other.broker.history("news", ALL, KEPT)
        assert page.position == before
        assert [publication.encoded for publication in page.publications] == [b"1", b"2"]
        after = await publish(one, "news", b"3")
        assert after == StreamPosition(3, before.epoch)
        await other.seen.until(lambda seen: b"3" in seen.encoded("news"))
        assert other.seen.gaps >= 1


async def test_a_failover_that_lost_the_tail_voids_positions(
    sentinels: SentinelDeployment, by_sentinels: Connect
) -> None:
    """Positions of a server without losses, and of channels without losses, become invalid too."""
    async with by_sentinels() as one, by_sentinels() as other:
        untouched = await publish(other, "other", b"1")
        before = await publish(one, "news", b"1")
        primary = sentinels.primary()
        await asyncio.to_thread(wait_replicated, primary)
        await asyncio.to_thread(cut_replication, primary)
        lost = await publish(one, "news", b"2", b"3")
        assert lost == StreamPosition(3, before.epoch)
        primary.stop()
        for server in (one, other):
            await healthy(server, wanted=False)
        for server in (other, one):
            await healthy(server)
        page = await other.broker.history("news", ALL, KEPT)
        assert page.position.offset == 1
        assert page.position.epoch != before.epoch
        assert (await other.broker.history("other", ALL, KEPT)).position.epoch != untouched.epoch


async def test_what_only_a_dead_server_knew_is_not_trusted(
    sentinels: SentinelDeployment, by_sentinels: Connect
) -> None:
    """After a while the dead server is not waited for, and positions become invalid."""
    async with by_sentinels() as other:
        async with by_sentinels() as dies:
            before = await publish(dies, "news", b"1")
            primary = sentinels.primary()
            await asyncio.to_thread(wait_replicated, primary)
            await asyncio.to_thread(cut_replication, primary)
            await publish(dies, "news", b"2")
            primary.stop()
        await healthy(other, wanted=False)
        await asyncio.to_thread(sentinels.wait_failover, primary)
        await healthy(other)
        page = await other.broker.history("news", ALL, KEPT)
        assert page.position.offset == 1
        assert page.position.epoch != before.epoch


async def test_a_subscriber_knows_what_the_publisher_was_never_told(
    sentinels: SentinelDeployment, by_sentinels: Connect
) -> None:
    """A publication that arrived counts, whether or not its publisher got a confirmation."""
    async with by_sentinels() as one, by_sentinels() as other:
        await other.broker.subscribe("news")
        before = await publish(one, "news", b"1")
        primary = sentinels.primary()
        await asyncio.to_thread(wait_replicated, primary)
        await asyncio.to_thread(cut_replication, primary)
        script_client = asyncio.create_task(publish(one, "news", b"2"))
        await other.seen.until(lambda seen: b"2" in seen.encoded("news"))
        await script_client
        await one.broker.stop()
        primary.stop()
        await healthy(other, wanted=False)
        await asyncio.to_thread(sentinels.wait_failover, primary)
        await healthy(other)
        assert (await other.broker.history("news", ALL, KEPT)).position.epoch != before.epoch


async def test_a_planned_failover_is_followed_at_once(sentinels: SentinelDeployment, by_sentinels: Connect) -> None:
    """Servers follow the sentinels' announcement without waiting for the old primary's timeout."""
    async with by_sentinels() as server:
        before = await publish(server, "news", b"1")
        old = sentinels.primary()
        await asyncio.to_thread(wait_replicated, old)
        await asyncio.to_thread(sentinels.sentinels[0].ask, "SENTINEL", "FAILOVER", "main")
        await asyncio.to_thread(sentinels.wait_failover, old)
        await healthy(server)
        assert await publish(server, "news", b"2") == StreamPosition(2, before.epoch)


@dataclass(frozen=True)
class Planned:
    """Way to replace the primary while servers publish, and its acceptable loss."""

    fail_over: Callable[[SentinelDeployment], None]
    program: str = "standalone"
    min_replicas: int = 0
    most_lost: int | None = 0
    """Maximum number of lost confirmed publications; None: any until the servers followed."""
    keeps_epoch: bool = True


def plainly(deployment: SentinelDeployment, *options: str) -> None:
    """Ask a sentinel, and wait until all name another primary."""
    old = deployment.primary()
    deployment.sentinels[0].ask("SENTINEL", "FAILOVER", PRIMARY_NAME, *options)
    deployment.wait_failover(old)


def after_a_pause(deployment: SentinelDeployment) -> None:
    """Follow the guide: stop writes at the primary, wait for the replica, and only then ask."""
    primary = deployment.primary()
    primary.ask("CLIENT", "PAUSE", PAUSE_MILLISECONDS, "WRITE")
    wait_replicated(primary)
    plainly(deployment)


def coordinated(deployment: SentinelDeployment) -> None:
    """Use the coordinated failover of Valkey 9."""
    plainly(deployment, "COORDINATED")


PLANNED = {
    "plain": Planned(plainly, most_lost=None, keeps_epoch=False),
    # One can be on its way to the replica in the moment in which that is promoted.
    "min-replicas": Planned(plainly, min_replicas=1, most_lost=1, keeps_epoch=False),
    "pause": Planned(after_a_pause),
    "pause-oldest": Planned(after_a_pause, program="oldest"),
    "pause-valkey": Planned(after_a_pause, program="valkey"),
    "coordinated": Planned(coordinated, program="valkey"),
}


@pytest.mark.parametrize("planned", PLANNED.values(), ids=PLANNED)
async def test_a_planned_failover_while_servers_publish(planned: Planned, tmp_path: Path) -> None:
    """Each confirmed publication is kept, or all clients are told that positions are invalid."""
    options = ("--min-replicas-to-write", str(planned.min_replicas))
    url_file = tmp_path / "url"
    with running_sentinels(PASSWORD, program=program_of(planned.program), options=options) as deployment:
        url_file.write_text(deployment.url)
        async with redis_server(settings.Redis(url_file=url_file), "planned") as server:
            async with publishing(server.broker) as account:
                await account.confirm_more(20, within=FAILOVER_SECONDS)
                await asyncio.to_thread(planned.fail_over, deployment)
                await account.confirm_more(20, within=FAILOVER_SECONDS)
            lost = await account.lost()
    print(
        f"confirmed {len(account.confirmed)}, lost {len(lost)}, failed {len(account.failed)}, {account.longest:.2f} s"
    )
    assert planned.most_lost is None or len(lost) <= planned.most_lost
    assert account.epochs == 1 or not planned.keeps_epoch
    assert account.longest < CALL_SECONDS


@pytest.mark.parametrize("program", ["standalone", "oldest", "valkey"])
@pytest.mark.parametrize(("min_replicas", "lines"), [("0", 1), ("1", 0)])
async def test_a_primary_that_needs_no_replica_is_told_of(
    program: str, min_replicas: str, lines: int, tmp_path: Path
) -> None:
    """There is one log line, whatever the number of links."""
    options = ("--min-replicas-to-write", min_replicas)
    with running_sentinels(PASSWORD, program=program_of(program), options=options) as deployment:
        (tmp_path / "url").write_text(deployment.url)
        with capture_logs() as logs:
            async with redis_server(settings.Redis(url_file=tmp_path / "url"), "advised") as server:
                await publish(server, "news", b"1")
    assert [entry["log_level"] for entry in logs if "no replica" in entry["event"]] == ["warning"] * lines


async def test_without_sentinels_a_server_does_not_start(sentinels: SentinelDeployment, by_sentinels: Connect) -> None:
    """The error says why; a running server goes on."""
    async with by_sentinels() as server:
        for sentinel in sentinels.sentinels:
            sentinel.stop()
        with pytest.raises(BackplaneError, match="no sentinel knows a primary called 'main'"):
            async with by_sentinels():
                raise AssertionError
        await publish(server, "news", b"1")
        assert TIMING.canary < DOWN_AFTER_SECONDS
        assert server.broker.healthy


# Cluster


async def test_a_cluster_replaces_a_primary(cluster: RedisClusterDeployment, keys: Keys, in_cluster: Connect) -> None:
    """Channels of other primaries are unaffected; those of the dead one keep their positions."""
    async with in_cluster() as one, in_cluster() as other:
        channels = [f"c{number}" for number in range(24)]
        before = {channel: await publish(one, channel, b"1") for channel in channels}
        await asyncio.gather(*(other.broker.subscribe(channel) for channel in channels))
        dead = cluster.primary_of(keys.of("c0", "stream"))
        hit = {channel for channel in channels if cluster.primary_of(keys.of(channel, "stream")) is dead}
        assert 0 < len(hit) < len(channels)
        await asyncio.to_thread(wait_replicated, dead)
        dead.stop()
        await healthy(other, wanted=False)
        for channel in set(channels) - hit:
            assert (await publish(one, channel, b"2")).offset == 2
        with pytest.raises(BackplaneError):
            await publish(one, "c0", b"2")
        for server in (one, other):
            await healthy(server)
        for channel in hit:
            assert await publish(one, channel, b"2") == StreamPosition(2, before[channel].epoch)
        await other.seen.until(lambda seen: all(b"2" in seen.encoded(channel) for channel in channels))


async def test_a_cluster_that_lost_the_tail_voids_positions_there(
    cluster: RedisClusterDeployment, keys: Keys, in_cluster: Connect
) -> None:
    """Positions elsewhere stay valid."""
    async with in_cluster() as one, in_cluster() as other:
        dead = cluster.primary_of(keys.of("c0", "stream"))
        channels = [f"c{number}" for number in range(50)]
        elsewhere = next(name for name in channels if cluster.primary_of(keys.of(name, "stream")) is not dead)
        before = {channel: await publish(one, channel, b"1") for channel in ("c0", elsewhere)}
        await asyncio.to_thread(wait_replicated, dead)
        await asyncio.to_thread(cut_replication, dead)
        await publish(one, "c0", b"2")
        dead.stop()
        await healthy(other, wanted=False)
        for server in (other, one):
            await healthy(server)
        page = await other.broker.history("c0", ALL, KEPT)
        assert page.position.offset == 1
        assert page.position.epoch != before["c0"].epoch
        assert (await other.broker.history(elsewhere, ALL, KEPT)).position == before[elsewhere]


async def test_a_slot_that_moves_takes_its_channels_along(
    cluster: RedisClusterDeployment, keys: Keys, in_cluster: Connect
) -> None:
    """While it is published to, no offset is repeated or omitted, and positions stay valid."""
    async with in_cluster() as one, in_cluster() as other:
        await other.broker.subscribe("busy")
        first = await publish(one, "busy", b"0")
        key = keys.of("busy", "stream")
        source = cluster.primary_of(key)
        target = next(node for node in cluster.nodes[:3] if node is not source)
        moving = asyncio.create_task(
            asyncio.to_thread(cluster.move_slot, keys.slot(keys.partition_of("busy")), source, target)
        )
        positions = [first]
        while not moving.done() or len(positions) < 200:
            positions.append(await publish(one, "busy", b"x"))
        await moving
        assert [position.offset for position in positions] == list(range(1, len(positions) + 1))
        assert {position.epoch for position in positions} == {first.epoch}
        assert cluster.primary_of(key) is target
        await healthy(other)
        last = await publish(one, "busy", b"end")
        await other.seen.until(lambda seen: b"end" in seen.encoded("busy"))
        assert (await other.broker.history("busy", HistoryQuery(0), KEPT)).position == last
