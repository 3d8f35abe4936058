"""Tests of the Services."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.builders.redis.service import build_redis_service, redis_address
from realtime_operator.builders.services.admin_service import build_admin_service
from realtime_operator.builders.services.api_service import build_api_service
from realtime_operator.builders.services.client_service import WEBSOCKET, build_client_service, build_revision_service
from tests.kit.document import dig, object_at, objects_at
from tests.kit.manifests import cluster_of

EXTERNAL: JsonObject = {
    "backplane": {"redis": {"external": {"url": {"secretKeyRef": {"name": "redis", "key": "url"}}}}}
}


def test_a_quiesced_pod_leaves_the_services_of_clients_and_backends() -> None:
    """Both Services select the label that the operator removes from quiesced pods."""
    for service in (build_client_service(cluster_of()), build_api_service(cluster_of())):
        assert object_at(service, "spec", "selector")[naming.LABEL_SERVING] == "true"


def test_a_service_of_one_revision_has_its_serving_pods() -> None:
    """Nothing of it is exposed beyond the cluster, whatever the client Service is."""
    spec: JsonObject = {"endpoint": {"service": {"type": "LoadBalancer", "port": 80, "nodePort": 30080}}}
    service = build_revision_service(cluster_of(spec), "chat-canary", "bcdf")
    assert object_at(service, "spec", "selector") == {
        **object_at(build_client_service(cluster_of(spec)), "spec", "selector"),
        naming.LABEL_REVISION: "bcdf",
    }
    assert dig(service, "spec", "type") == "ClusterIP"
    assert objects_at(service, "spec", "ports") == [
        {"name": "client", "port": 80, "protocol": "TCP", "targetPort": "client", "appProtocol": WEBSOCKET}
    ]


def test_metrics_of_every_server_are_reachable() -> None:
    """The Service is headless and has all server pods, quiesced and unready ones included."""
    spec = object_at(build_admin_service(cluster_of()), "spec")
    assert spec["clusterIP"] == "None"
    assert spec["publishNotReadyAddresses"] is True
    assert naming.LABEL_SERVING not in object_at(spec, "selector")


def test_only_the_client_service_is_exposed() -> None:
    """Type and annotations of the spec apply to the client Service only."""
    spec: JsonObject = {"endpoint": {"service": {"type": "LoadBalancer", "annotations": {"a": "b"}}}}
    client, api = build_client_service(cluster_of(spec)), build_api_service(cluster_of(spec))
    assert (dig(client, "spec", "type"), dig(api, "spec", "type")) == ("LoadBalancer", "ClusterIP")
    assert object_at(client, "metadata", "annotations")["a"] == "b"
    assert "a" not in object_at(api, "metadata", "annotations")


def test_each_service_has_one_port() -> None:
    """The clients' Service has neither the API port nor the admin port."""
    services = (build_client_service, build_api_service, build_admin_service)
    ports = [objects_at(build(cluster_of()), "spec", "ports") for build in services]
    assert [[port["port"] for port in found] for found in ports] == [[8000], [8001], [8002]]


def test_an_external_redis_has_no_service() -> None:
    assert build_redis_service(cluster_of(EXTERNAL)) is None
    assert build_redis_service(cluster_of()) is not None


def test_the_redis_address_is_that_of_its_service() -> None:
    """The address consists of name, namespace and port."""
    assert redis_address(cluster_of()) == "chat-redis.realtime.svc:6379"
