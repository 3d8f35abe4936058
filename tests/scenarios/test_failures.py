"""Scenarios of killed processes: the cluster recovers, and subscribers lose nothing or are told of the loss."""

from __future__ import annotations

from tests.kit.running_cluster import RunningCluster, busiest_server, manifest, wait_for_servers
from tests.kit.traffic import finish, traffic


async def test_a_killed_server_is_replaced_and_its_subscribers_recover(cluster: RunningCluster) -> None:
    """A server gets SIGKILL: another one replaces it, and clients recover everything elsewhere."""
    await cluster.apply(manifest("main", replicas=2))
    await cluster.wait_ready()
    async with traffic(cluster) as running:
        victim = await busiest_server(cluster)
        await cluster.kill_server(victim)
        await wait_for_servers(
            cluster,
            lambda now: len(now) == 2 and all(s.available and s.name != victim for s in now),
            what="two servers without the killed one",
            within=60,
        )
        await cluster.wait_ready()
        result = await finish(running)
        assert result.exact, result.describe()
        assert running.recoveries(), "there were clients on the killed server"
        assert all(event.recovered for event in running.recoveries())


async def test_a_killed_redis_comes_back_and_subscribers_are_told_the_truth(cluster: RunningCluster) -> None:
    """Confirmed publications arrive, or a recovery reports the loss; then the service works again."""
    await cluster.apply(manifest("main", replicas=2))
    await cluster.wait_ready()
    async with traffic(cluster) as running:
        await cluster.kill_redis()
        await running.publisher.confirm_more(50, within=60)
        await cluster.wait_ready()
        result = await finish(running)
        untold = [account for account in result.accounts if not account.exact]
        failed = [event for event in running.recoveries() if not event.recovered]
        assert not untold or failed, result.describe()
        assert result.duplicated == 0, result.describe()
