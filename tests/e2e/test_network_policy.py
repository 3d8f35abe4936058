"""Scenarios of NetworkPolicies that are enforced: what a cluster needs gets through, and nothing else."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.kit.deadline import eventually
from tests.kit.document import text_at
from tests.kit.installation import Images
from tests.kit.kube import CONTAINER_SECURITY, POD_SECURITY, Kube
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.live_cluster import LiveCluster
from tests.kit.running_cluster import manifest

ENFORCED_SECONDS = 60
"""Seconds within which the controller follows a change of pods and policies."""
TRY = """
import json, socket, sys
def opens(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=3).close()
    except OSError:
        return False
    return True
print(json.dumps({name: opens(address) for name, address in json.loads(sys.argv[1]).items()}))
"""
"""Program that tries to connect to addresses, by name."""


@pytest.fixture
async def stranger(scenario: Scenario, images: Images) -> AsyncIterator[Kube]:
    """A namespace beside that of the scenario, with a pod `probe`; the scenario's own has one too."""
    other = scenario.kube.within(f"{scenario.kube.namespace}-other")
    await other.create_namespace()
    try:
        for kube in (scenario.kube, other):
            await kube.apply(probe_pod(images.server))
        for kube in (scenario.kube, other):
            await kube.kubectl("wait", "--for=condition=Ready", "pod/probe", "--timeout=50s")
        yield other
    finally:
        await other.kubectl("delete", "namespace", other.namespace, "--wait=false")


def probe_pod(image: str) -> JsonObject:
    """Return a pod that only waits, with Python in it."""
    container: JsonObject = {
        "name": "probe",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sleep", "infinity"],
        "securityContext": CONTAINER_SECURITY,
    }
    spec: JsonObject = {
        "securityContext": POD_SECURITY,
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
    }
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "probe"}, "spec": spec}


async def reached(kube: Kube, pod: str, addresses: Mapping[str, str]) -> dict[str, bool]:
    """Return which addresses a pod can connect to."""
    printed = await kube.kubectl("exec", pod, "--", "python3", "-c", TRY, json.dumps(dict(addresses)))
    found: dict[str, bool] = json.loads(printed)
    return found


async def becomes(kube: Kube, pod: str, addresses: Mapping[str, str], expected: set[str]) -> None:
    """Wait until a pod can connect to the expected ones of the addresses, and to no others."""
    await eventually(
        lambda: reached(kube, pod, addresses),
        lambda found: {name for name, opened in found.items() if opened} == expected,
        what=f"{kube.namespace}/{pod} reaches {sorted(expected)} alone",
        within=ENFORCED_SECONDS,
    )


async def addresses_of(cluster: LiveCluster) -> dict[str, str]:
    """Return the addresses of the ports of a server, by name, and that of Redis."""
    selector = f"{naming.LABEL_CLUSTER}={cluster.name},{naming.LABEL_COMPONENT}={naming.COMPONENT_REDIS}"
    (redis,) = await cluster.kube.list("pods", selector)
    host = text_at((await cluster.available())[0], "status", "podIP")
    ports = {"client": naming.PORT_CLIENT, "api": naming.PORT_API, "admin": naming.PORT_ADMIN}
    return {name: f"{host}:{port}" for name, port in ports.items()} | {
        "redis": f"{text_at(redis, 'status', 'podIP')}:{naming.PORT_REDIS}"
    }


async def test_only_needed_connections_get_through(enforcement: None, scenario: Scenario, stranger: Kube) -> None:  # noqa: ARG001
    """Under enforced policies a cluster becomes ready, delivers, and replaces its servers; others are kept out."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=2))
    await cluster.wait_ready(within=120)
    everything = await addresses_of(cluster)
    for kube in (scenario.kube, stranger):
        await becomes(kube, "probe", everything, {"client", "api", "admin", "redis"})

    await cluster.patch(networkPolicy={"mode": "Restricted"})
    await becomes(scenario.kube, "probe", everything, {"client", "api"})
    await becomes(stranger, "probe", everything, {"client"})
    server = text_at((await cluster.available())[1], "metadata", "name")
    kubernetes = await scenario.kube.within("default").get("services", "kubernetes")
    assert kubernetes is not None
    outside = {**everything, "kubernetes": f"{text_at(kubernetes, 'spec', 'clusterIP')}:443"}
    await becomes(scenario.kube, server, outside, {"redis"})

    # The operator reaches the admin port: it measures and drains servers, and the new ones reach Redis and the DNS.
    await cluster.patch(server={"limits": {"messagesPerSecond": 250}})
    await cluster.wait_ready(within=180)
    async with await cluster.api() as api:
        await api.call("publish", channel="chat:lobby", data={"text": "hello"})
        history = await api.call("history", channel="chat:lobby", limit=1)
    assert history["publications"], history
    replaced = await addresses_of(cluster)
    await asyncio.gather(
        becomes(scenario.kube, "probe", replaced, {"client", "api"}), becomes(stranger, "probe", replaced, {"client"})
    )

    await cluster.patch(networkPolicy={"mode": "None"})
    await becomes(stranger, "probe", replaced, {"client", "api", "admin", "redis"})
