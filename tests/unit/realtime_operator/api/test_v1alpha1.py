"""Tests of the resource: defaults, parsing, refusals."""

from __future__ import annotations

import contextlib
from typing import get_args

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.api.errors import InvalidCluster
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_server import ApiMethod
from tests.kit.manifests import cluster_of
from tests.kit.refusals import REFUSALS, Refusal

ROUTE: JsonObject = {"name": "orders", "subscribe": ["orders"]}


@pytest.mark.parametrize("spec", [{}, {"spec": {}}, {"spec": {"server": {}, "backplane": {"redis": {}}}}])
def test_an_empty_spec_is_a_small_cluster(spec: JsonObject) -> None:
    """Two servers, a managed Redis, no autoscaling; empty objects that are written out do not matter."""
    cluster = RealtimeCluster.from_object({"metadata": {"name": "a"}, **spec})
    assert cluster.spec.replicas == 2
    assert cluster.spec.autoscaling is None
    assert cluster.spec.backplane.managed is not None


@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda refusal: refusal.path)
def test_what_the_api_server_refuses_is_refused(refusal: Refusal) -> None:
    """Field and message are the same as the API server's, as an object may have been stored before a rule existed."""
    with pytest.raises(InvalidCluster) as caught:
        RealtimeCluster.from_object(refusal.document)
    findings = {finding.path: finding.message for finding in caught.value.findings}
    assert refusal.path in findings
    assert refusal.message in findings[refusal.path]


def test_a_key_may_have_every_method() -> None:
    """The list has room for methods that are added."""
    key: JsonObject = {"name": "all", "secretKeyRef": {"name": "keys", "key": "all"}, "methods": [*get_args(ApiMethod)]}
    assert cluster_of({"api": {"keys": [key]}}).spec.api.keys[0].methods == get_args(ApiMethod)


@pytest.mark.parametrize(
    ("path", "protocols", "is_reached"),
    [
        ("/", {}, True),
        ("/connection", {}, True),
        ("/connection/websocket", {}, True),
        ("/connections", {}, False),
        ("/socket.io", {}, False),
        ("/socket.io", {"socketIO": {"mode": "Enabled"}}, True),
        ("/chat", {"socketIO": {"mode": "Enabled", "path": "/chat/io/"}}, True),
        ("/chat/io/", {"socketIO": {"mode": "Enabled", "path": "/chat/io/"}}, True),
        ("/socket.io", {"socketIO": {"mode": "Enabled", "path": "/chat/io/"}}, False),
        ("/ws", {}, False),
        ("/ws/orders", {"webSocket": {"routes": [ROUTE]}}, True),
        ("/connection", {"centrifuge": {"mode": "Disabled"}, "webSocket": {"routes": [ROUTE]}}, False),
    ],
)
def test_a_path_of_the_ingress_has_to_reach_an_enabled_protocol(
    path: str, protocols: JsonObject, is_reached: bool
) -> None:
    """Otherwise no client could connect through it."""
    spec: JsonObject = {"endpoint": {"ingress": {"paths": [path]}}, "protocols": protocols}
    with contextlib.nullcontext() if is_reached else pytest.raises(InvalidCluster, match="an enabled protocol connect"):
        cluster_of(spec)


def test_numbers_beside_texts() -> None:
    """Durations and sizes are text in documents, and numbers in properties."""
    spec = cluster_of({"server": {"limits": {"messageBytes": "32Ki", "outboxBytes": 65536}}}).spec
    assert (spec.server.limits.message_bytes_number, spec.server.limits.outbox_bytes_number) == (32768, 65536)
    assert (spec.server.heartbeat.interval_seconds, spec.server.heartbeat.timeout_seconds) == (25, 8)
    assert (spec.rollout.drain.timeout_seconds, spec.rollout.drain.settle_seconds) == (600, 5)


@pytest.mark.parametrize(
    "quantities",
    [
        {"memory": 0},
        {"memory": "4Mi", "cpu": "100m"},
        {"memory": 4 << 20, "cpu": 0},
        {"memory": "512M", "cpu": 64},
        {"memory": "1Gi", "cpu": "99999m"},
        {"ephemeral-storage": 512},
    ],
)
def test_quantities_that_can_be_meant_are_taken(quantities: JsonObject) -> None:
    """No quantities, the smallest and the largest are valid."""
    resources: JsonObject = {"requests": quantities, "limits": quantities}
    cluster = cluster_of(
        {"pod": {"resources": resources}, "backplane": {"redis": {"managed": {"resources": resources}}}}
    )
    assert cluster.spec.pod.resources.requests == quantities


@pytest.mark.parametrize(("written", "expected"), [("Auto", None), (100, 100.0)])
def test_a_fixed_rate_is_a_number_and_auto_is_none(written: int | str, expected: float | None) -> None:
    drain = cluster_of({"rollout": {"drain": {"connectionsPerSecond": written}}}).spec.rollout.drain
    assert drain.fixed_rate == expected


def test_an_external_redis_is_not_managed() -> None:
    spec: JsonObject = {
        "backplane": {"redis": {"external": {"url": {"secretKeyRef": {"name": "redis", "key": "url"}}}}}
    }
    assert cluster_of(spec).spec.backplane.managed is None


@pytest.mark.parametrize(
    ("redis", "expected"),
    [
        ({}, False),
        ({"managed": {"mode": "Standalone"}}, False),
        ({"managed": {"mode": "Failover"}}, True),
        ({"external": {"address": "redis.example.com:6379"}}, False),
    ],
)
def test_failover_is_that_of_a_managed_redis(redis: JsonObject, *, expected: bool) -> None:
    """An external Redis fails over as its owner runs it."""
    assert cluster_of({"backplane": {"redis": redis}}).spec.backplane.has_failover is expected


def test_metadata_of_no_concern_is_ignored() -> None:
    """The API server adds fields to metadata with each release."""
    metadata: JsonObject = {"name": "a", "namespace": "b", "uid": "c", "managedFields": [], "resourceVersion": "7"}
    cluster = RealtimeCluster.from_object({"apiVersion": "x", "kind": "y", "metadata": metadata, "more": 1})
    assert (cluster.metadata.name, cluster.metadata.namespace, cluster.metadata.uid) == ("a", "b", "c")


@pytest.mark.parametrize("status", [None, "text", {"phase": "Dreaming"}, {"replicas": "two"}])
def test_a_status_that_cannot_be_read_counts_as_absent(status: JsonObject) -> None:
    """An invalid status does not make the cluster invalid: it is written again."""
    assert RealtimeCluster.from_object({"metadata": {"name": "a"}, "status": status}).status is None
