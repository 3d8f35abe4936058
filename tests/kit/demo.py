"""`make demo-kubernetes`: a service from one object, and a rolling update without losses.

Run inside the cluster's network by `python -m tests.kit.cluster demo`. It installs the chart, applies
examples/quickstart.yaml, connects stock clients, publishes all the while, changes the spec and shows how connections
move from the old servers to the new ones. It ends with 1 if anything was lost or delivered twice.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.kit.accounting import settle
from tests.kit.api import Publisher, publishing
from tests.kit.clients import StockClients, all_subscribed
from tests.kit.cluster.environment import Environment
from tests.kit.deadline import DeadlineMissedError, eventually
from tests.kit.document import number_at, objects_at, text_at
from tests.kit.installation import Helm, Images
from tests.kit.kube import Kube, condition, is_ready, name_of, proxied
from tests.kit.ledger import Balance, largest_rate
from tests.kit.live_cluster import LiveCluster
from tests.kit.running_cluster import QUICKSTART, is_settled, manifests_of
from tests.kit.sdk import JavaScriptClients
from tests.kit.traffic import clients_of

NAMESPACE = "realtime-demo"
CHANNEL = "chat:lobby"
PER_SECOND = 10
READY_SECONDS = 120
ROLLOUT_SECONDS = 240
COUNT_SECONDS = 1
"""Timeout of a query for connection counts, short as servers that are about to end do not answer."""
T = TypeVar("T")


class Screen:
    """Prints steps and progress with the time since the start; repeated progress is printed once."""

    def __init__(self) -> None:
        self._start = time.monotonic()
        self._last = ""

    def say(self, text: str) -> None:
        """Print a step."""
        print(f"[{time.monotonic() - self._start:5.1f} s] {text}", flush=True)

    def show(self, text: str) -> None:
        """Print progress within a step, unless it equals the previous line."""
        if text != self._last:
            self._last = text
            self.say(f"    {text}")


async def follow(
    read: Callable[[], Awaitable[T]], done: Callable[[T], bool], show: Callable[[T], Awaitable[str]], screen: Screen,
    *, within: float, every: float = 0.5,
) -> T:  # fmt: skip
    """Read and show values until `done` accepts one; raises DeadlineMissedError after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        value = await read()
        screen.show(await show(value))
        if done(value):
            return value
        if time.monotonic() > deadline:
            raise DeadlineMissedError(f"not done within {within:g} s")
        await asyncio.sleep(every)


class Demo:
    """The demo against one cluster."""

    def __init__(self, kube: Kube, cluster: LiveCluster, screen: Screen, clients: int) -> None:
        self.kube = kube
        self.cluster = cluster
        self.screen = screen
        self.clients = clients

    async def run(self) -> bool:
        """Run all steps; return True when nothing was lost or delivered twice."""
        await self._become_ready()
        clients = await clients_of(
            self.cluster,
            JavaScriptClients,
            count=self.clients,
            channels=[CHANNEL],
            connects_per_second=self.clients / 2,
        )
        self.screen.say(f"{self.clients} stock clients (npm install centrifuge) subscribe to {CHANNEL}")
        async with clients, await self.cluster.api() as api:
            await all_subscribed(clients, within=60)
            self.screen.show(await self._servers())
            async with publishing(api, CHANNEL, per_second=PER_SECOND) as publisher:
                await self._first_message(clients)
                await self._update(publisher, clients)
                await publisher.stop()
                result = await settle(clients, publisher)
            return self._report(result, publisher, clients)

    async def _become_ready(self) -> None:
        self.screen.say(f"kubectl apply -f {QUICKSTART.relative_to(Path.cwd()) if _below_here() else QUICKSTART}")
        await self.kube.apply(*manifests_of(QUICKSTART))
        await follow(self.cluster.get, is_settled, self._phase, self.screen, within=READY_SECONDS)
        for line in (await self.kube.kubectl("get", "rtc")).splitlines():
            self.screen.say(f"    {line}")

    async def _first_message(self, clients: StockClients) -> None:
        await clients.record.wait(lambda r: len(r.publications()) >= self.clients, what="the first publication")
        first = clients.record.publications()[0]
        self.screen.say(f"{PER_SECOND} publications a second; the first arrived: offset {first.offset}, {first.data}")

    async def _update(self, publisher: Publisher, clients: StockClients) -> None:
        """Apply a change, and show the connections of each server during the rollout."""
        self.screen.say("""kubectl patch rtc quickstart --type=merge -p '{"spec": {"server": {"limits": ...}}}'""")
        await self.cluster.patch(server={"limits": {"messagesPerSecond": 200}})

        async def progress(_: JsonObject) -> str:
            servers = await self._servers()
            arrived = len(clients.record.publications())
            return f"{servers} | published {len(publisher.published)}, delivered {arrived}"

        def done(document: JsonObject) -> bool:
            return is_settled(document) and bool(clients.record.reconnects())

        await follow(self.cluster.get, done, progress, self.screen, within=ROLLOUT_SECONDS, every=1)
        await all_subscribed(clients, within=60)
        self.screen.say(f"update done: {len(clients.record.reconnects())} connections were moved")

    def _report(self, result: Balance, publisher: Publisher, clients: StockClients) -> bool:
        recoveries = clients.record.recoveries()
        untold = sum(not event.recovered for event in recoveries)
        rate = largest_rate(clients.record.reconnects())
        delay = max(event.at - number_at(event.data, "at") for event in clients.record.publications())
        self.screen.say(
            f"published {len(publisher.published)}, delivered {result.delivered} to {self.clients} subscribers, "
            f"lost {result.lost}, duplicated {result.duplicated}, recoveries refused {untold}, "
            f"largest delay {delay:.2f} s, largest reconnect rate {rate:.0f} a second"
        )
        if not result.exact:
            print(result.describe(), file=sys.stderr)
        return result.exact and untold == 0

    async def _phase(self, document: JsonObject) -> str:
        pods = await self.kube.list("pods", f"{naming.LABEL_CLUSTER}={self.cluster.name}")
        states = ", ".join(f"{name_of(pod)} {'ready' if is_ready(pod) else 'starting'}" for pod in pods)
        phase = text_at(document, "status", "phase") or "new"
        why = text_at(condition(document, "Ready"), "message")
        return f"{phase}: {why}{'; ' if why else ''}{states or 'no pods yet'}"

    async def _servers(self) -> str:
        """Return the number of connections and the state of each server."""
        status = objects_at(await self.cluster.get(), "status", "servers")
        states = {text_at(server, "name"): text_at(server, "state") for server in status}
        revision = text_at(await self.cluster.get(), "status", "targetRevision")
        counts = await self.cluster.connections(within=COUNT_SECONDS)
        return "  ".join(
            f"{name.removeprefix(self.cluster.name + '-')}"
            f" ({'new' if revision in name else 'old'}, {states.get(name, 'starting')}): {count}"
            for name, count in counts.items()
        )


def _below_here() -> bool:
    return QUICKSTART.is_relative_to(Path.cwd())


async def clean_up(kube: Kube, cluster: LiveCluster) -> None:
    """Take away the cluster, and its namespace when no pod is left.

    Kubernetes waits for pods in a namespace that is deleted with half their grace period, and here that is minutes.
    """
    await kube.delete(naming.PLURAL, cluster.name)
    selector = f"{naming.LABEL_CLUSTER}={cluster.name}"
    await eventually(
        lambda: kube.list("pods", selector), lambda pods: not pods, what="the end of all pods", within=READY_SECONDS
    )
    await kube.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


async def show(environment: Environment, clients: int, keep: bool) -> bool:
    """Run the demo, and remove what it made unless it is to be kept."""
    screen = Screen()
    helm = Helm(environment.helm, environment.kubeconfig)
    screen.say("helm install realtime-operator helm/realtime-operator")
    helm.install(Images(environment.operator_image, environment.server_image, environment.redis_image))
    with proxied(environment.kubectl, environment.kubeconfig) as access:
        async with Kube(access, NAMESPACE) as kube:
            await kube.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
            cluster = LiveCluster(kube, name_of(manifests_of(QUICKSTART)[-1]))
            try:
                return await Demo(kube, cluster, screen, clients).run()
            finally:
                if keep:
                    screen.say(f"kept: kubectl -n {NAMESPACE} get rtc")
                else:
                    await clean_up(kube, cluster)


def main() -> int:
    """Run the demo; return 0 when nothing was lost."""
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--keep", action="store_true", help="leave the RealtimeCluster when the demo is over")
    parser.add_argument("--clients", type=int, default=100, help="stock clients to connect (default: 100)")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        return 0 if asyncio.run(show(Environment.from_environ(), arguments.clients, arguments.keep)) else 1
    return 130


if __name__ == "__main__":
    sys.exit(main())
