"""Scenarios of foreign objects with the names of children: they are not touched, and are reported."""

from __future__ import annotations

import json

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.kit.document import dig, object_at, text_at
from tests.kit.kube import condition, has_condition
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.running_cluster import manifest


def without_status(document: JsonObject | None) -> str:
    """Return an object as its owner wrote it, as comparable text."""
    assert document is not None
    return json.dumps({key: value for key, value in document.items() if key != "status"}, sort_keys=True)


async def test_a_service_of_an_application_is_neither_taken_nor_deleted(scenario: Scenario) -> None:
    """The Service is older than the cluster `shop`; it is not changed, and outlives the cluster."""
    theirs: JsonObject = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "shop", "labels": {"app": "shop"}},
        "spec": {"selector": {"app": "shop"}, "ports": [{"port": 80}]},
    }
    await scenario.kube.apply(theirs)
    before = without_status(await scenario.kube.get("services", "shop"))
    cluster = scenario.cluster("shop")
    await cluster.apply(manifest("shop", replicas=1))
    stored = await cluster.wait(
        lambda o: condition(o, "Degraded").get("reason") == "NameTaken" and dig(o, "status", "readyReplicas") == 1,
        what="the conflict is told, and a server runs all the same",
    )
    assert "Service shop exists and does not belong to this cluster" in text_at(
        condition(stored, "Degraded"), "message"
    )
    assert condition(stored, "Ready").get("reason") == "EndpointUnavailable"
    assert dig(stored, "status", "phase") == "Degraded"
    assert without_status(await scenario.kube.get("services", "shop")) == before
    events = [event for event in await cluster.events() if event.reason == "NameTaken"]
    assert [event.type for event in events] == ["Warning"]
    await scenario.kube.delete(naming.PLURAL, "shop")
    await scenario.kube.kubectl("wait", "--for=delete", f"statefulset/{naming.redis('shop')}", "--timeout=60s")
    assert without_status(await scenario.kube.get("services", "shop")) == before
    await cluster.apply(manifest("shop", replicas=1))
    await scenario.kube.delete("services", "shop")
    await cluster.wait_ready(within=120)


async def test_two_clusters_whose_names_collide(scenario: Scenario) -> None:
    """`main` has a Service `main-api`; a cluster `main-api` reports that, and `main` goes on."""
    first, second = scenario.cluster(), scenario.cluster("main-api")
    await first.apply(manifest("main", replicas=1))
    await first.wait_ready()
    await second.apply(manifest("main-api", replicas=1))
    stored = await second.wait(
        lambda o: condition(o, "Degraded").get("reason") == "NameTaken", what="the collision is told"
    )
    message = text_at(condition(stored, "Degraded"), "message")
    assert "Service main-api exists and belongs to RealtimeCluster main" in message
    service = await scenario.kube.get("services", "main-api")
    assert service is not None
    assert object_at(service, "spec", "selector").get(naming.LABEL_CLUSTER) == "main"
    assert has_condition(await first.get(), "Ready")
    await scenario.kube.delete(naming.PLURAL, "main-api")
    assert await scenario.kube.get("services", "main-api") is not None
    await first.wait_ready()
