"""Scenarios of reports while the API server refuses writes, and of the operator's pause."""

from __future__ import annotations

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.kit.deadline import eventually
from tests.kit.document import dig, text_at
from tests.kit.kube import QUOTA, condition
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.running_cluster import manifest

LIMIT_RANGE: JsonObject = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "metadata": {"name": "small"},
    "spec": {"limits": [{"type": "Pod", "max": {"memory": "300Mi"}}]},
}
NO_CONFIG_MAPS: JsonObject = {**QUOTA, "spec": {"hard": {"count/configmaps": "1"}}}


@pytest.mark.parametrize("limit", [QUOTA, LIMIT_RANGE], ids=["quota", "limit-range"])
async def test_pods_that_are_refused_are_told(scenario: Scenario, limit: JsonObject) -> None:
    """The report has the API server's message; without the limit the cluster becomes ready."""
    await scenario.kube.apply(limit)
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    stored = await cluster.wait(lambda o: condition(o, "Degraded").get("reason") == "PodsRefused", what="it is told")
    message = text_at(condition(stored, "Degraded"), "message")
    assert "cannot create pods" in message
    assert "small" in message or "maximum memory usage per Pod" in message
    assert dig(stored, "status", "phase") == "Degraded"
    await scenario.kube.delete(text_at(limit, "kind").lower(), "small")
    await cluster.wait_ready(within=120)


async def test_a_refused_write_is_told_and_the_rest_goes_on(scenario: Scenario) -> None:
    """A quota refuses the ConfigMap of a new revision; the Service follows the spec."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    before = await cluster.wait_ready()
    quota: JsonObject = {**NO_CONFIG_MAPS, "spec": {"hard": {"count/configmaps": "2"}}}
    await scenario.kube.apply(quota)
    counted = "--for=jsonpath={.status.used.count/configmaps}=2"  # kube-root-ca.crt and that of the revision
    await scenario.kube.kubectl("wait", counted, "resourcequota/small", "--timeout=20s")
    await cluster.patch(
        server={"limits": {"messagesPerSecond": 250}}, endpoint={"service": {"annotations": {"a": "b"}}}
    )
    stored = await cluster.wait(lambda o: condition(o, "Degraded").get("reason") == "WriteRefused", what="it is told")
    assert "exceeded quota: small" in text_at(condition(stored, "Degraded"), "message")
    assert condition(stored, "Progressing").get("reason") != "Settled"
    assert dig(stored, "status", "currentRevision") == dig(before, "status", "currentRevision")
    found = await scenario.kube.get("services", naming.client_service("main"))
    assert dig(found, "metadata", "annotations", "a") == "b"
    await scenario.kube.delete("resourcequotas", "small")
    await cluster.wait_ready(within=120)


async def test_the_whole_operator_can_be_paused(scenario: Scenario) -> None:
    """With an annotation on its Lease changes are observed and reported, and not carried out."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    before = await cluster.wait_ready()
    (lease,) = await scenario.system.list("leases")
    name = text_at(lease, "metadata", "name")
    await scenario.system.kubectl("annotate", "lease", name, f"{naming.ANNOTATION_PAUSED}=incident 17")
    try:
        stored = await cluster.wait(
            lambda o: condition(o, "Progressing").get("reason") == "OperatorPaused", what="paused", within=20
        )
        assert "incident 17" in text_at(condition(stored, "Progressing"), "message")
        await cluster.patch(replicas=2, server={"limits": {"messagesPerSecond": 250}})
        stored = await cluster.wait(lambda o: dig(o, "status", "phase") == "Paused", what="the change is seen")
        assert dig(stored, "status", "targetRevision") != dig(before, "status", "currentRevision")
        sets = await scenario.kube.list("replicasets")
        assert [dig(item, "spec", "replicas") for item in sets] == [1]
    finally:
        await scenario.system.kubectl("annotate", "lease", name, f"{naming.ANNOTATION_PAUSED}-")
    await cluster.wait_ready(within=90)
    await eventually(cluster.available, lambda now: len(now) == 2, what="two servers", within=30)
