"""Scenarios of a killed operator."""

from __future__ import annotations

from tests.kit.document import dig
from tests.kit.kill import kill_pod
from tests.kit.kube import is_ready, name_of
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.running_cluster import every_server_is_reached, is_settled, manifest
from tests.kit.traffic import assert_nothing_lost, traffic

OPERATOR_SELECTOR = "app.kubernetes.io/name=realtime-operator,app.kubernetes.io/component=operator"


async def test_an_operator_killed_in_a_rollout_is_succeeded_by_one_that_completes_it(scenario: Scenario) -> None:
    """The successor continues a rollout with moving connections where it was interrupted; nothing is lost."""
    cluster = scenario.cluster()
    drain = {"connectionsPerSecond": 2, "settle": "1s"}
    rollout = {"maxSurge": 1, "maxUnavailable": 0, "drain": drain}
    await cluster.apply(manifest("main", replicas=2, rollout=rollout))
    await cluster.wait_ready()
    await every_server_is_reached(cluster)
    async with traffic(cluster, per_sdk=4) as running:
        await cluster.patch(server={"limits": {"messagesPerSecond": 200}})
        await cluster.wait(lambda o: bool(dig(o, "status", "rollout", "drainingServers")), what="a drain has begun")
        victims = {name_of(pod) for pod in await scenario.system.list("pods", OPERATOR_SELECTOR)}
        for pod in await scenario.system.list("pods", OPERATOR_SELECTOR):
            await kill_pod(scenario.system, pod)
        assert not is_settled(await cluster.get()), "the rollout was over before the operator was killed"
        await cluster.wait_ready(within=90)
        successors = {name_of(pod) for pod in await scenario.system.list("pods", OPERATOR_SELECTOR) if is_ready(pod)}
        assert successors
        assert successors.isdisjoint(victims)
        await assert_nothing_lost(running)
