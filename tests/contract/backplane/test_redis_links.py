"""Servers that share a Redis, which goes away, hangs, loses data, or returns with older data."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from realtime_server import settings
from realtime_server.backplane.redis import RedisBroker, open_router
from realtime_server.backplane.redis_usage import RedisUsage
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.values import ClientInfo, HistoryOptions, HistoryQuery, PresenceStats
from tests.contract.backplane.conftest import TIMING, Connect, Server, redis_settings
from tests.contract.backplane.recorder import Recorder
from tests.kit.deadline import eventually
from tests.kit.redis_process import RedisProcess, free_port

KEPT = HistoryOptions(size=1000, ttl_seconds=60)
ALL = HistoryQuery(limit=-1)
AWAY_SECONDS = 10.0


async def healthy(server: Server | RedisBroker, *, wanted: bool = True) -> None:
    """Wait until the server is healthy, or is not."""
    broker = server.broker if isinstance(server, Server) else server

    async def read() -> bool:
        return broker.healthy

    await eventually(read, lambda seen: seen is wanted, what=f"healthy: {wanted}", within=AWAY_SECONDS, every=0.01)


async def restart(redis: RedisProcess, server: Server, *, lose: bool = False) -> None:
    """Kill Redis and start it again, with its data or without."""
    gaps = server.seen.gaps
    redis.stop()
    await healthy(server, wanted=False)
    if lose:
        redis.lose_data()
    redis.start()
    await server.seen.until(lambda seen: seen.gaps > gaps)


# several servers


async def test_publications_cross_servers_in_order(together: Connect) -> None:
    """Two servers publish to one channel concurrently; both see the same sequence."""
    async with together() as one, together() as other:
        await one.broker.subscribe("busy")
        await other.broker.subscribe("busy")
        publishing = [s.broker.publish("busy", b"%d" % n, KEPT) for n in range(200) for s in (one, other)]
        await asyncio.gather(*publishing)
        seen = [await server.seen.until_arrived(400) for server in (one, other)]
        assert [arrival.publication.offset for arrival in seen[0]] == list(range(1, 401))
        assert seen[0] == seen[1]


async def test_streams_presence_and_control_are_shared(together: Connect) -> None:
    """All servers see the same."""
    async with together() as one, together() as other:
        position = await one.broker.publish("news", b"1", KEPT)
        assert (await other.broker.history("news", ALL, KEPT)).position == position
        await one.presence.add("room", "a", ClientInfo("ann", "a"), 60)
        await other.presence.add("room", "b", ClientInfo("ann", "b"), 60)
        for server in (one, other):
            assert set(await server.presence.members("room")) == {"a", "b"}
            assert await server.presence.stats("room") == PresenceStats(2, 1)
        await other.broker.publish_control(b"all")
        for server in (one, other):
            await server.seen.until(lambda seen: seen.controls == [b"all"])


async def test_clusters_with_different_prefixes_do_not_meet(redis: RedisProcess, tmp_path: Path) -> None:
    """The prefix separates clusters, because pub/sub ignores database numbers."""
    (tmp_path / "url").write_text(redis.url)
    place = settings.Redis(url_file=tmp_path / "url")
    seen: list[Recorder] = []
    brokers = [RedisBroker(open_router(place, prefix, TIMING)) for prefix in ("one", "other")]
    for broker in brokers:
        seen.append(Recorder())
        await broker.start(seen[-1])
        await broker.subscribe("news")
    await brokers[0].publish("news", b"1", KEPT)
    await brokers[0].publish_control(b"control")
    await seen[0].until(lambda recorder: bool(recorder.arrivals and recorder.controls))
    position = (await brokers[1].history("news", ALL, KEPT)).position
    for broker in brokers:
        await broker.stop()
    assert position.offset == 0
    assert (seen[1].arrivals, seen[1].controls) == ([], [])


# Redis goes away


async def test_without_redis_every_call_fails_soon(connect: Connect, redis: RedisProcess) -> None:
    """No call waits for Redis to return; unsubscribing succeeds, since it needs no answer."""
    async with connect() as server:
        await server.broker.subscribe("known")
        redis.stop()
        await healthy(server, wanted=False)
        calls = [
            server.broker.publish("news", b"1", KEPT),
            server.broker.publish("news", b"1", None),
            server.broker.history("news", ALL, KEPT),
            server.broker.remove_history("news"),
            server.broker.publish_control(b"x"),
            server.broker.subscribe("news"),
            server.presence.remove("news", "c1"),
            server.presence.members("news"),
            server.presence.stats("news"),
        ]
        async with asyncio.timeout(TIMING.call):
            for call in calls:
                with pytest.raises(BackplaneError):
                    await call
            await server.broker.unsubscribe("known")


async def test_a_restarted_redis_with_its_data_loses_nothing(connect: Connect, redis: RedisProcess) -> None:
    """Epoch, history and subscriptions stay, and one gap is reported once both links are up."""
    async with connect() as one, connect() as other:
        for server in (one, other):
            await server.broker.subscribe("news")
        before = await one.broker.publish("news", b"1", KEPT)
        for server in (one, other):  # what is on its way when a link breaks may be lost
            await server.seen.until(lambda seen: seen.encoded("news") == [b"1"])
        await restart(redis, one)
        await other.seen.until(lambda seen: seen.gaps == 1)
        await healthy(one)
        page = await one.broker.history("news", ALL, KEPT)
        assert (len(page.publications), page.position) == (1, before)
        after = await one.broker.publish("news", b"2", KEPT)
        assert before is not None
        assert after is not None
        assert (after.offset, after.epoch) == (2, before.epoch)
        for server in (one, other):
            await server.seen.until(lambda seen: seen.encoded("news") == [b"1", b"2"])
        assert (one.seen.gaps, other.seen.gaps) == (1, 1)


async def test_an_emptied_redis_changes_the_epoch_once(connect: Connect, redis: RedisProcess) -> None:
    """Servers that reconnect later see the same new epoch."""
    async with connect() as one, connect() as other:
        before = [await server.broker.publish(name, b"1", KEPT) for server, name in ((one, "a"), (other, "b"))]
        await restart(redis, one, lose=True)
        first = await one.broker.publish("a", b"1", KEPT)
        await other.seen.until(lambda seen: seen.gaps >= 1)
        second = await other.broker.publish("a", b"2", KEPT)
        assert before[0] is not None
        assert first is not None
        assert second is not None
        assert first.epoch != before[0].epoch
        assert (first.offset, second.offset) == (1, 2)
        assert first.epoch == second.epoch


async def test_a_redis_with_older_data_changes_every_epoch(
    connect: Connect, redis: RedisProcess, tmp_path: Path
) -> None:
    """The server with lost publications notices, and all clients are told, since offsets would repeat."""
    async with connect() as one, connect() as other:
        old = await one.broker.publish("news", b"1", KEPT)
        redis.stop()
        shutil.copytree(redis.folder, tmp_path / "old")
        redis.start()
        await one.seen.until(lambda seen: seen.gaps == 1)
        await other.seen.until(lambda seen: seen.gaps == 1)
        lost = await one.broker.publish("news", b"2", KEPT)
        assert old is not None
        assert lost is not None
        assert lost.epoch == old.epoch
        redis.stop()
        redis.lose_data()
        shutil.copytree(tmp_path / "old", redis.folder, dirs_exist_ok=True)
        redis.start()
        await other.seen.until(lambda seen: seen.gaps >= 2)
        await one.seen.until(lambda seen: seen.gaps >= 2)
        await healthy(one)
        page = await other.broker.history("news", ALL, KEPT)
        assert page.position.offset == 1
        assert page.position.epoch != old.epoch
        again = await other.broker.publish("news", b"2", KEPT)
        assert again is not None
        assert again.epoch == page.position.epoch


async def test_a_redis_that_hangs_is_noticed_on_both_links(connect: Connect, redis: RedisProcess) -> None:
    """Its connections stay open without answers; a gap is reported when it goes on."""
    async with connect() as server:
        await server.broker.subscribe("news")
        redis.freeze()
        with pytest.raises(BackplaneError):
            await server.broker.publish("news", b"1", None)
        await healthy(server, wanted=False)
        redis.thaw()
        await server.seen.until(lambda seen: seen.gaps == 1)
        await server.broker.publish("news", b"2", None)
        await server.seen.until(lambda seen: b"2" in seen.encoded("news"))


async def test_a_cut_subscription_link_comes_back_with_all_channels(connect: Connect, redis: RedisProcess) -> None:
    """There are more channels than one command takes; unsubscribed ones stay unsubscribed."""
    channels = [f"c{number}" for number in range(1500)]
    async with connect() as server:
        await asyncio.gather(*(server.broker.subscribe(channel) for channel in channels))
        await server.broker.unsubscribe("c7")
        client = redis.client()
        killed = await asyncio.to_thread(client.client_kill_filter, _type="pubsub")
        assert killed == 1
        await server.seen.until(lambda seen: seen.gaps == 1)
        for channel in channels:
            await server.broker.publish(channel, b"1", None)
        await server.seen.until_arrived(1499)
        assert {arrival.channel for arrival in server.seen.arrivals} == set(channels) - {"c7"}


async def test_a_cut_command_link_is_no_gap(connect: Connect, redis: RedisProcess) -> None:
    """Publications of other servers arrive meanwhile."""
    async with connect() as server:
        await server.broker.subscribe("news")
        position = await server.broker.publish("news", b"1", KEPT)
        client = redis.client()
        assert await asyncio.to_thread(client.client_kill_filter, _type="normal", skipme=True) == 1
        await healthy(server, wanted=False)
        await healthy(server)
        after = await server.broker.publish("news", b"2", KEPT)
        await server.seen.until(lambda seen: seen.encoded("news") == [b"1", b"2"])
        assert position is not None
        assert after is not None
        assert (after.epoch, after.offset) == (position.epoch, 2)
        assert server.seen.gaps == 0


async def test_flushed_scripts_are_loaded_again(connect: Connect, redis: RedisProcess) -> None:
    """Redis loses its scripts in a failover."""
    async with connect() as server:
        await server.broker.publish("news", b"1", KEPT)
        await asyncio.to_thread(redis.client().script_flush)
        position = await server.broker.publish("news", b"2", KEPT)
        assert position is not None
        assert position.offset == 2


async def test_a_redis_that_turned_replica_is_left(connect: Connect, redis: RedisProcess) -> None:
    """The replica refuses writes: the link reconnects to find the primary."""
    async with connect() as server:
        client = redis.client()
        await asyncio.to_thread(client.execute_command, "REPLICAOF", "127.0.0.1", str(free_port()))
        with pytest.raises(BackplaneError):
            await server.broker.publish("news", b"1", KEPT)
        await healthy(server, wanted=False)
        await asyncio.to_thread(client.execute_command, "REPLICAOF", "NO", "ONE")
        await healthy(server)
        assert await server.broker.publish("news", b"1", KEPT) is not None


async def test_a_full_redis_refuses_and_stays_linked(connect: Connect, redis: RedisProcess) -> None:
    """Calls fail without partial effects, others succeed, and a lost link reconnects."""
    async with connect() as server:
        client = redis.client()
        await server.broker.publish("news", b"1", KEPT)
        await asyncio.to_thread(client.config_set, "maxmemory", "1")
        with pytest.raises(BackplaneError, match="maxmemory"):
            await server.broker.publish("news", b"2", KEPT)
        assert server.broker.healthy
        assert (await server.broker.history("news", ALL, KEPT)).position.offset == 1
        await asyncio.to_thread(client.client_kill_filter, _type="normal", skipme=True)
        await healthy(server, wanted=False)
        await healthy(server)
        await asyncio.to_thread(client.config_set, "maxmemory", "0")
        assert await server.broker.publish("news", b"2", KEPT) is not None


async def test_the_use_of_redis_is_read(redis: RedisProcess, tmp_path: Path) -> None:
    """Memory and connections with their limits, by every program in its own INFO; a changed limit is seen."""
    router = open_router(redis_settings(redis, tmp_path), "p", TIMING)
    broker = RedisBroker(router)
    await broker.start(Recorder())
    try:
        redis.ask("CONFIG", "SET", "maxmemory", 64 << 20)

        async def read() -> RedisUsage:
            return router.usage.get("redis", RedisUsage())

        used = await eventually(read, lambda seen: seen.memory.limit_bytes == 64 << 20, what="the limit", within=10)
        assert 0 < used.memory.used_bytes < 64 << 20
        assert 2 <= used.clients < used.clients_limit
    finally:
        await broker.stop()
    assert router.usage == {}


# starting


async def test_starting_without_redis_fails_and_can_be_tried_again(redis: RedisProcess, tmp_path: Path) -> None:
    """The password file is read for each attempt, so that it may appear later."""
    password = tmp_path / "password"
    place = settings.Redis(address=redis.address, password_file=password)
    broker, seen = RedisBroker(open_router(place, "p", TIMING)), Recorder()
    with pytest.raises(BackplaneError):
        await broker.start(seen)
    password.write_text("wrong")
    with pytest.raises(BackplaneError):
        await broker.start(seen)
    password.write_text(redis.password)
    await broker.start(seen)
    await healthy(broker)
    await broker.stop()


async def test_a_changed_password_is_used_by_the_next_link(redis: RedisProcess, tmp_path: Path) -> None:
    url_file = tmp_path / "url"
    url_file.write_text(redis.url)
    broker, seen = RedisBroker(open_router(settings.Redis(url_file=url_file), "p", TIMING)), Recorder()
    await broker.start(seen)
    server_gone = seen.gaps
    redis.stop()
    redis.password = "rotated"
    redis.start()
    url_file.write_text(redis.url)
    await seen.until(lambda recorder: recorder.gaps > server_gone)
    await healthy(broker)
    await broker.stop()


async def test_an_acl_user_gets_another_password_without_a_gap(redis: RedisProcess, tmp_path: Path) -> None:
    """Redis accepts two passwords of a user while servers learn the new one: no call fails, no link is lost."""
    redis.ask("ACL", "SETUSER", "realtime", "on", ">first", "~*", "&*", "+@all")
    password = tmp_path / "password"
    password.write_text("first")
    place = settings.Redis(address=redis.address, username="realtime", password_file=password)
    seen = Recorder()
    broker = RedisBroker(open_router(place, "test", TIMING))
    await broker.start(seen)
    try:
        redis.ask("ACL", "SETUSER", "realtime", ">second")
        assert await broker.publish("news", b"1", KEPT) is not None
        password.write_text("second")
        redis.ask("ACL", "SETUSER", "realtime", "<first")
        assert await broker.publish("news", b"2", KEPT) is not None
        assert seen.gaps == 0
        redis.ask("CLIENT", "KILL", "USER", "realtime")
        await healthy(broker, wanted=False)
        await healthy(broker)
        position = await broker.publish("news", b"3", KEPT)
        assert position is not None
        assert position.offset == 3
    finally:
        await broker.stop()


@pytest.mark.parametrize(
    "text", ["", "not a url", "http://127.0.0.1:1", "redis://127.0.0.1:notaport", "redis://:s3cret@127.0.0.1:99999/0"]
)
async def test_a_wrong_url_is_told_without_its_password(tmp_path: Path, text: str) -> None:
    """The error is logged."""
    url_file = tmp_path / "url"
    url_file.write_text(text)
    broker = RedisBroker(open_router(settings.Redis(url_file=url_file), "p", TIMING))
    with pytest.raises(BackplaneError) as raised:
        await broker.start(Recorder())
    assert "s3cret" not in str(raised.value)
    assert not broker.healthy
