"""Scenarios of a user's own Redis."""

from __future__ import annotations

import asyncio

from realtime_operator.api.base import JsonObject
from tests.kit.document import text_at
from tests.kit.installation import Images
from tests.kit.kube import CONTAINER_SECURITY, POD_SECURITY, has_condition, is_ready, name_of
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.running_cluster import manifest
from tests.kit.traffic import assert_nothing_lost, traffic

NAME = "own-redis"
PASSWORD = "own-password"


def redis_manifests(image: str) -> tuple[JsonObject, JsonObject]:
    """Return a user's Redis with a password, and its Service."""
    labels: JsonObject = {"app": NAME}
    container: JsonObject = {
        "name": "redis",
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["redis-server", "--requirepass", PASSWORD, "--save", "", "--appendonly", "no"],
        "readinessProbe": {"tcpSocket": {"port": 6379}, "periodSeconds": 1},
        "securityContext": CONTAINER_SECURITY,
    }
    metadata: JsonObject = {"name": NAME, "labels": labels}
    pod: JsonObject = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {"containers": [container], "securityContext": POD_SECURITY, "terminationGracePeriodSeconds": 1},
    }
    service: JsonObject = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"selector": labels, "ports": [{"port": 6379}]},
    }
    return pod, service


async def test_an_external_redis_by_url_is_the_backplane(scenario: Scenario, images: Images) -> None:
    """The URL is in a Secret; the operator makes no Redis, and the history is in the user's."""
    await scenario.kube.apply(*redis_manifests(images.redis))
    pod = await scenario.kube.wait_for("pods", NAME, is_ready, what="ready", within=30)
    service = await scenario.kube.wait_for("services", NAME, bool, what="there", within=5)
    url = f"redis://:{PASSWORD}@{text_at(service, 'spec', 'clusterIP')}:6379/0"
    await scenario.kube.kubectl("create", "secret", "generic", NAME, f"--from-literal=url={url}")
    cluster = scenario.cluster()
    await cluster.apply(
        manifest("main", backplane={"redis": {"external": {"url": {"secretKeyRef": {"name": NAME, "key": "url"}}}}})
    )
    ready = await cluster.wait_ready()
    assert has_condition(ready, "BackplaneReady")
    assert await scenario.kube.list("statefulsets") == []
    async with traffic(cluster) as running:
        await asyncio.sleep(1)
        await assert_nothing_lost(running, moved_by=None)
    printed = await scenario.kube.kubectl(
        "exec", name_of(pod), "--", "redis-cli", "-a", PASSWORD, "--no-auth-warning", "DBSIZE"
    )
    assert int(printed.split()[-1]) > 0, printed
