"""Scenarios of pods that others take away: their connections move within the budget of the cluster."""

from __future__ import annotations

import asyncio
import time

from realtime_operator import naming
from tests.kit.clients import all_connected
from tests.kit.deadline import eventually
from tests.kit.document import dig, object_at, text_at
from tests.kit.kube import name_of
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.live_cluster import LiveCluster
from tests.kit.running_cluster import busiest_server, every_server_is_reached, manifest
from tests.kit.traffic import Traffic, assert_nothing_lost, finish, traffic

RATE = 4
"""Budget in connections per second."""
SLACK = 2
"""Moves more than the budget that a second of the clients' clock may show, as their event loops lag."""


def most_in_a_second(running: Traffic) -> int:
    """Return the largest number of connections that were lost within a second, wherever it begins."""
    times = sorted(event.at for event in running.lost_connections())
    return max((sum(begin <= at < begin + 1 for at in times) for begin in times), default=0)


async def drain_rates(cluster: LiveCluster, names: list[str]) -> list[float]:
    """Return the rates at which these of the servers drain now that do."""
    statuses = [await cluster.admin(pod) for pod in await cluster.pods() if name_of(pod) in names]
    return [float(str(rate)) for status in statuses if (rate := status.get("drain_rate")) is not None]


async def test_pods_that_are_deleted_together_share_the_budget(scenario: Scenario) -> None:
    """Two of three servers are deleted at once, as in a node drain; the operator divides its budget between them."""
    cluster = scenario.cluster()
    drain = {"connectionsPerSecond": RATE, "settle": "1s"}
    await cluster.apply(manifest("main", replicas=3, rollout={"maxSurge": 1, "drain": drain}))
    await cluster.wait_ready()
    await every_server_is_reached(cluster)
    async with traffic(cluster, per_sdk=16) as running:
        victims = [name_of(pod) for pod in await cluster.pods()][:2]
        telling = asyncio.create_task(
            cluster.wait(lambda o: dig(o, "status", "budget") is not None, what="the status shows the budget")
        )
        await scenario.kube.kubectl("delete", "pod", *victims, "--wait=false")
        rates = await eventually(
            lambda: drain_rates(cluster, victims),
            lambda found: len(found) == 2,
            what="both drain",
            within=30,
            every=0.3,
        )
        assert sum(rates) <= RATE
        await telling
        await cluster.wait_ready(within=120)
        for group in running.groups:
            await all_connected(group, within=30)
        assert most_in_a_second(running) <= RATE + SLACK
        await assert_nothing_lost(running)


async def gone(cluster: LiveCluster, names: list[str], least: list[int]) -> bool:
    """Return True when these pods are gone; note the number of servers that new connections reach in `least`.

    A pod that ends must be empty.
    """
    pods = [pod for name in names if (pod := await cluster.kube.get("pods", name)) is not None]
    least.append(len(await cluster.available()))
    for pod in pods:
        if text_at(pod, "metadata", "deletionTimestamp"):
            assert (await cluster.connections()).get(name_of(pod), 0) == 0
    return not pods


async def test_a_node_drain_waits_until_the_connections_were_moved(scenario: Scenario) -> None:
    """`kubectl drain` of the node of all servers is held while replacements start and the connections move.

    Nobody is closed by the end of a pod, and both servers share the budget.
    """
    cluster = scenario.cluster()
    rate = 10
    drain = {"connectionsPerSecond": rate, "settle": "1s"}
    await cluster.apply(manifest("main", replicas=2, rollout={"maxSurge": 2, "drain": drain}))
    await cluster.wait_ready()
    await every_server_is_reached(cluster)
    async with traffic(cluster, per_sdk=16) as running:
        connections = await cluster.connections()
        victims = [name_of(pod) for pod in await cluster.pods()]
        (node,) = {text_at(pod, "spec", "nodeName") for pod in await cluster.pods()}
        await scenario.kube.kubectl("label", "pod", *victims, "leaves=node")
        began = time.monotonic()
        options = ("--pod-selector=leaves=node", "--delete-emptydir-data")
        draining = asyncio.create_task(scenario.kube.kubectl("drain", node, *options))
        try:
            for victim in victims:
                await scenario.kube.wait_for(
                    "pods", victim,
                    lambda pod: naming.ANNOTATION_EVICTION in object_at(pod, "metadata", "annotations"),
                    what="the eviction is held", within=30,
                )  # fmt: skip
        finally:
            await scenario.kube.kubectl("uncordon", node)  # there is no other node for the replacements
        least: list[int] = []
        await eventually(lambda: gone(cluster, victims, least), bool, what="both are gone", within=90, every=0.3)
        await draining
        print(f"drained {sum(connections.values())} connections in {time.monotonic() - began:.1f} s")
        assert min(least) >= 2, "the replacements come first"
        await cluster.wait_ready()
        assert len(await cluster.pods()) == 2
        assert most_in_a_second(running) <= rate + SLACK
        await assert_nothing_lost(running)


async def test_a_crash_stops_a_rollout_until_its_clients_are_back(scenario: Scenario) -> None:
    """The clients of the killed server are owed to the budget, and the rollout goes on when they are paid."""
    cluster = scenario.cluster()
    drain = {"connectionsPerSecond": RATE, "settle": "1s"}
    await cluster.apply(manifest("main", replicas=2, rollout={"maxSurge": 1, "drain": drain}))
    await cluster.wait_ready()
    await every_server_is_reached(cluster)
    async with traffic(cluster, per_sdk=32) as running:
        await cluster.patch(server={"limits": {"messagesPerSecond": 200}})
        await cluster.wait(lambda o: bool(dig(o, "status", "rollout", "drainingServers")), what="a drain has begun")
        await cluster.kill_server(await busiest_server(cluster))
        owing = await cluster.wait(lambda o: bool(dig(o, "status", "budget", "owed")), what="owed", within=30)
        assert float(str(dig(owing, "status", "budget", "owed"))) > 0
        await cluster.wait(lambda o: dig(o, "status", "budget") is None, what="paid, and all moved", within=120)
        await cluster.wait_ready(within=60)
        result = await finish(running)
        assert result.exact, result.describe()
