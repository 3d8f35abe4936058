"""Whatever is killed, the cluster comes back, and subscribers lose nothing or are told the truth."""

from __future__ import annotations

from realtime_operator import naming
from tests.e2e.conftest import Scenario
from tests.e2e.test_rollout import assert_nothing_lost
from tests.kit.deadline import eventually
from tests.kit.document import dig
from tests.kit.kill import kill_pod
from tests.kit.kube import is_ready, name_of
from tests.kit.live_cluster import is_settled, manifest
from tests.kit.traffic import finish, traffic

OPERATOR_SELECTOR = "app.kubernetes.io/name=realtime-operator,app.kubernetes.io/component=operator"
REDIS_SELECTOR = f"{naming.LABEL_CLUSTER}=main,{naming.LABEL_COMPONENT}={naming.COMPONENT_REDIS}"


async def test_an_operator_killed_in_a_rollout_is_succeeded_by_one_that_completes_it(scenario: Scenario) -> None:
    """Kill -9 while connections are being moved: the successor goes on where it stopped; nothing is lost."""
    cluster = scenario.cluster()
    drain = {"connectionsPerSecond": 2, "settle": "1s"}
    rollout = {"maxSurge": 1, "maxUnavailable": 0, "drain": drain}
    await cluster.apply(manifest("main", replicas=2, rollout=rollout))
    await cluster.wait_ready()
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


async def test_a_killed_server_is_replaced_and_its_subscribers_recover(scenario: Scenario) -> None:
    """SIGKILL, no preStop: the ReplicaSet makes a new pod, clients come back elsewhere with everything."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=2))
    await cluster.wait_ready()
    async with traffic(cluster) as running:
        victim = (await cluster.available())[0]
        await kill_pod(scenario.kube, victim)
        await cluster.wait_for_servers(
            lambda pods: len(pods) == 2 and all(map(is_ready, pods)) and name_of(victim) not in map(name_of, pods),
            what="two servers without the killed one",
            within=60,
        )
        await cluster.wait_ready()
        result = await finish(running)
        assert result.exact, result.describe()
        assert all(event.recovered for event in running.recoveries())


async def test_a_killed_redis_comes_back_and_subscribers_are_told_the_truth(scenario: Scenario) -> None:
    """What was confirmed arrives, or a recovery says that it could not; then the service is usable again."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=2))
    await cluster.wait_ready()
    async with traffic(cluster) as running:
        (redis,) = await scenario.kube.list("pods", REDIS_SELECTOR)
        await kill_pod(scenario.kube, redis)
        await eventually(
            lambda: scenario.kube.list("pods", REDIS_SELECTOR),
            lambda pods: len(pods) == 1 and is_ready(pods[0]) and pods[0].get("metadata") != redis.get("metadata"),
            what="a new Redis ready",
            within=60,
        )
        await cluster.wait_ready()
        await running.publisher.confirm_more(50, within=30)
        result = await finish(running)
        untold = [account for account in result.accounts if not account.exact]
        told = [event for event in running.recoveries() if not event.recovered]
        assert not untold or told, result.describe()
        assert result.duplicated == 0, result.describe()
