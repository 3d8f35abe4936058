"""Tests of the parsing of pods."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.builders.redis.stateful_set import build_redis_stateful_set
from realtime_operator.planning.model.world import AdminAccess
from realtime_operator.platforms.kubernetes.observe import read_redis_pod, read_server
from realtime_operator.platforms.kubernetes.store import slim
from tests.kit.document import object_at
from tests.kit.manifests import SETTINGS, cluster_of


def pod(status: JsonObject | None = None, **metadata: JsonValue) -> JsonObject:
    """Return a server pod as the API server does."""
    labels: JsonObject = {
        naming.LABEL_CLUSTER: "main", naming.LABEL_REVISION: "r1", naming.LABEL_SERVING: "true",
    }  # fmt: skip
    base: JsonObject = {
        "name": "main-r1-x",
        "uid": "u",
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "labels": labels,
    }
    return {"kind": "Pod", "metadata": {**base, **metadata}, "status": status or {}}


def test_a_running_pod() -> None:
    conditions: list[JsonValue] = [{"type": "Ready", "status": "True"}]
    running: list[JsonValue] = [{"state": {"running": {}}}]
    status: JsonObject = {
        "phase": "Running",
        "podIP": "10.0.0.1",
        "conditions": conditions,
        "containerStatuses": running,
    }
    server = read_server(pod(status), None)
    assert (server.name, server.revision, server.ready, server.serving) == ("main-r1-x", "r1", True, True)
    assert (server.address, server.waiting_reason) == ("10.0.0.1", None)
    assert server.admin == AdminAccess("10.0.0.1", "main-credentials")
    assert server.created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_since_when_a_pod_is_ready() -> None:
    """The time is that of the condition; the pod has none while it is not ready."""
    since, change = datetime(2026, 1, 2, 3, 5, tzinfo=UTC), "2026-01-02T03:05:00Z"
    for state, ready, unready in (("True", since, None), ("False", None, since)):
        conditions: list[JsonValue] = [{"type": "Ready", "status": state, "lastTransitionTime": change}]
        server = read_server(pod({"phase": "Running", "conditions": conditions}), None)
        assert (server.ready_since, server.unready_since) == (ready, unready)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ({"containerStatuses": [{"state": {"waiting": {"reason": "ImagePullBackOff"}}}]}, "ImagePullBackOff"),
        ({"conditions": [{"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}]}, "Unschedulable"),
        ({}, "Pending"),
        ({"containerStatuses": [{"state": {"running": {}}}]}, None),
        (
            {
                "containerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}],
                "initContainerStatuses": [{"state": {"waiting": {"reason": "CrashLoopBackOff"}}}],
            },
            "CrashLoopBackOff",
        ),
        (
            {
                "containerStatuses": [{"state": {"waiting": {"reason": "PodInitializing"}}}],
                "initContainerStatuses": [{"state": {"running": {}}}],
            },
            "PodInitializing",
        ),
    ],
)
def test_why_a_pod_waits(status: JsonObject, reason: str | None) -> None:
    """The reason is the kubelet's, the scheduler's, or Pending."""
    assert read_server(pod(status), None).waiting_reason == reason


def test_a_quiesced_pod() -> None:
    """Label and annotations of a pod store the state of a rollout."""
    labels: JsonObject = {naming.LABEL_REVISION: "r1", naming.LABEL_SERVING: "false"}
    annotations: JsonObject = {
        naming.ANNOTATION_QUIESCED_AT: "2026-01-02T03:04:05.250Z",
        naming.ANNOTATION_DELETION_COST: "-1000",
    }
    server = read_server(pod(labels=labels, annotations=annotations), None)
    assert (server.serving, server.deletion_cost) == (False, -1000)
    assert server.quiesced_at == datetime(2026, 1, 2, 3, 4, 5, 250000, tzinfo=UTC)


def test_annotations_that_somebody_broke_are_as_if_not_there() -> None:
    """An invalid value from an edit by hand does not end the reconcile."""
    annotations: JsonObject = {
        naming.ANNOTATION_QUIESCED_AT: "yesterday",
        naming.ANNOTATION_DELETION_COST: "low",
    }
    server = read_server(pod(annotations=annotations), None)
    assert (server.quiesced_at, server.deletion_cost) == (None, 0)


@pytest.mark.parametrize("phase", ["Failed", "Succeeded"])
def test_a_pod_that_has_ended(phase: str) -> None:
    assert read_server(pod({"phase": phase}), None).failed


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("component", [naming.COMPONENT_REDIS, naming.COMPONENT_REDIS_TRIAL])
def test_a_pod_of_redis_is_read_from_what_is_stored_of_it(component: str, *, tls: bool) -> None:
    """Nothing that the planner sees of it is missing in the store."""
    spec: JsonObject = {"backplane": {"redis": {"managed": {"mode": "Failover", **({"tls": {}} if tls else {})}}}}
    cluster = cluster_of(spec)
    password = {naming.redis(cluster.metadata.name): {naming.KEY_REDIS_PASSWORD: "digest"}}
    stateful_set = build_redis_stateful_set(cluster, SETTINGS, password)
    assert stateful_set is not None
    template = object_at(stateful_set, "spec", "template", "spec")
    labels: JsonObject = {naming.LABEL_COMPONENT: component, "controller-revision-hash": "main-redis-7"}
    whole: JsonObject = {**pod(labels=labels), "spec": {**template, "subdomain": "main-redis-nodes"}}
    found = read_redis_pod(slim(whole))
    assert (found.tls, found.service) == (tls, "main-redis-nodes")
    assert found == read_redis_pod(whole)


def test_a_pod_of_redis() -> None:
    """Its template is the revision of its StatefulSet, and its host name is in a Service; a trial has neither."""
    labels: JsonObject = {"controller-revision-hash": "main-redis-7", naming.LABEL_COMPONENT: naming.COMPONENT_REDIS}
    made: JsonObject = {**pod(name="main-redis-0", labels=labels), "spec": {"subdomain": "main-redis-nodes"}}
    found = read_redis_pod(made)
    assert (found.template, found.service, found.trial, found.ready) == (
        "main-redis-7",
        "main-redis-nodes",
        False,
        False,
    )
    labels = {naming.LABEL_COMPONENT: naming.COMPONENT_REDIS_TRIAL}
    trial = read_redis_pod(pod(labels=labels, annotations={naming.ANNOTATION_APPLIED: "abc"}))
    assert (trial.template, trial.service, trial.trial) == ("abc", "", True)
