"""The number of servers follows the connections, or the person who scales."""

from __future__ import annotations

from tests.e2e.conftest import Scenario
from tests.kit.clients import all_subscribed
from tests.kit.deadline import stays
from tests.kit.document import whole_at
from tests.kit.kube import condition, is_ready
from tests.kit.live_cluster import manifest
from tests.kit.sdk import JavaScriptClients
from tests.kit.traffic import clients_of, finish, traffic


async def test_servers_follow_connections_up_and_down(scenario: Scenario) -> None:
    """50 clients at 20 per server make three servers; when they leave, two are drained and go; nothing is lost."""
    cluster = scenario.cluster()
    autoscaling = {"minReplicas": 1, "maxReplicas": 3, "connectionsPerReplica": 20, "scaleDownStabilization": "5s"}
    await cluster.apply(manifest("main", replicas=1, autoscaling=autoscaling))
    await cluster.wait_ready()
    async with traffic(cluster, per_sdk=2) as running:
        crowd = await clients_of(cluster, JavaScriptClients, count=46, channels=["chat:crowd"])
        async with crowd:
            await all_subscribed(crowd)
            await cluster.wait(lambda o: whole_at(o, "status", "readyReplicas") == 3, what="three servers ready")
            await cluster.wait(lambda o: whole_at(o, "status", "connections") == 50, what="50 connections counted")
            assert crowd.record.lost_connections() == []
        await cluster.wait_for_servers(lambda pods: len(pods) == 1, what="one server left", within=90)
        result = await finish(running)
        assert result.exact, result.describe()
        assert running.publisher.failed == []
        assert {event.code for event in running.lost_connections()} <= {3011}


async def test_kubectl_scale_changes_the_number_of_servers(scenario: Scenario) -> None:
    """`kubectl scale rtc` up at once, and down by draining; nothing is lost."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready()
    async with traffic(cluster) as running:
        await scenario.kube.kubectl("scale", "rtc", "main", "--replicas=3")
        await cluster.wait(lambda o: whole_at(o, "status", "readyReplicas") == 3, what="three servers ready")
        await scenario.kube.kubectl("scale", "rtc", "main", "--replicas=1")
        await cluster.wait_for_servers(lambda pods: len(pods) == 1, what="one server left", within=60)
        result = await finish(running)
        assert result.exact, result.describe()
        assert {event.code for event in running.lost_connections()} <= {3011}


async def test_a_cluster_scaled_to_nothing_comes_back(scenario: Scenario) -> None:
    """replicas: 0 removes all servers, and 1 brings one back."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready()
    await scenario.kube.kubectl("scale", "rtc", "main", "--replicas=0")
    await cluster.wait_for_servers(lambda pods: pods == [], what="no servers", within=40)
    await stays(cluster.pods, lambda pods: pods == [], what="no servers", during=1)
    assert condition(await cluster.get(), "Accepted").get("status") == "True"
    await scenario.kube.kubectl("scale", "rtc", "main", "--replicas=1")
    await cluster.wait_for_servers(
        lambda pods: len(pods) == 1 and is_ready(pods[0]), what="one server ready", within=40
    )
