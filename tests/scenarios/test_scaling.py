"""Scenarios of scaling by connections and by hand."""

from __future__ import annotations

from tests.kit.clients import all_subscribed
from tests.kit.deadline import stays
from tests.kit.document import whole_at
from tests.kit.kube import has_condition
from tests.kit.running_cluster import RunningCluster, every_server_is_reached, manifest, wait_for_servers
from tests.kit.sdk import JavaScriptClients
from tests.kit.traffic import clients_of, finish, traffic


async def test_servers_follow_connections_up_and_down(cluster: RunningCluster) -> None:
    """50 clients at 20 per server make three servers; when they leave, two are drained and removed; nothing is lost."""
    autoscaling = {"minReplicas": 1, "maxReplicas": 3, "connectionsPerReplica": 20, "scaleDownStabilization": "1s"}
    await cluster.apply(manifest("main", replicas=1, autoscaling=autoscaling))
    await cluster.wait_ready()
    async with traffic(cluster, per_sdk=2) as running:
        crowd = await clients_of(cluster, JavaScriptClients, count=46, channels=["chat:crowd"])
        async with crowd:
            await all_subscribed(crowd)
            await cluster.wait(lambda o: whole_at(o, "status", "readyReplicas") == 3, what="three servers ready")
            await cluster.wait(lambda o: whole_at(o, "status", "connections") == 50, what="50 connections counted")
            assert crowd.record.lost_connections() == []
        await wait_for_servers(cluster, lambda now: len(now) == 1, what="one server left", within=90)
        result = await finish(running)
        assert result.exact, result.describe()
        assert running.publisher.failed == []
        assert {event.code for event in running.lost_connections()} <= {3011}


async def test_scaling_by_hand_changes_the_number_of_servers(cluster: RunningCluster) -> None:
    """Servers are added at once and removed by draining, without losses; also to zero and back."""
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready()
    async with traffic(cluster) as running:
        await cluster.scale(3)
        await cluster.wait(lambda o: whole_at(o, "status", "readyReplicas") == 3, what="three servers ready")
        await every_server_is_reached(cluster)
        async with await clients_of(cluster, JavaScriptClients, count=12) as later:  # the first ones are on one server
            await all_subscribed(later)
            await cluster.scale(1)
            await wait_for_servers(cluster, lambda now: len(now) == 1, what="one server left", within=60)
            await all_subscribed(later, within=30)
            assert all(event.recovered for event in later.record.recoveries())
            assert {event.code for event in later.record.lost_connections()} == {3011}
        result = await finish(running)
        assert result.exact, result.describe()
        assert {event.code for event in running.lost_connections()} <= {3011}
    await cluster.scale(0)
    await wait_for_servers(cluster, lambda now: not now, what="no servers", within=40)
    await stays(cluster.servers, lambda now: not now, what="no servers", during=0.5)
    assert has_condition(await cluster.get(), "Accepted")
    await cluster.scale(1)
    await wait_for_servers(
        cluster, lambda now: len(now) == 1 and now[0].available, what="one server available", within=40
    )
