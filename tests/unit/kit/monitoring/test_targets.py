"""Tests of the targets that stand for Prometheus's discovery of pods."""

from __future__ import annotations

from realtime_operator.api.base import JsonObject
from tests.kit.monitoring.targets import pod_targets


def pod(address: str) -> JsonObject:
    """Return a pod with two ports."""
    ports: JsonObject = {"ports": [{"name": "client", "containerPort": 8000}, {"name": "admin", "containerPort": 8002}]}
    metadata: JsonObject = {"name": "chat-1", "namespace": "team", "labels": {"realtime.dev/cluster": "chat"}}
    return {"metadata": metadata, "spec": {"containers": [ports]}, "status": {"podIP": address}}


def test_a_pod_is_a_target_for_each_port() -> None:
    """With its labels, as Prometheus names them."""
    client, admin = pod_targets(pod("10.0.0.7"))
    assert (client.address, admin.address) == ("10.0.0.7:8000", "10.0.0.7:8002")
    assert admin.labels == {
        "__meta_kubernetes_pod_label_realtime_dev_cluster": "chat",
        "__meta_kubernetes_pod_name": "chat-1",
        "__meta_kubernetes_namespace": "team",
        "__meta_kubernetes_pod_container_port_name": "admin",
    }


def test_a_pod_without_an_address_is_none() -> None:
    """It is not scheduled yet."""
    assert pod_targets(pod("")) == []
