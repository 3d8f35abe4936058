"""Tracing in the configuration and the pods of servers."""

from __future__ import annotations

from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1_server import SecretKeySelector
from realtime_operator.builders.configuration.config_map import server_config
from realtime_operator.builders.configuration.tracing import tracing_files
from realtime_operator.builders.servers.volumes import server_mounts, server_volumes
from tests.kit.manifests import cluster_of

ENDPOINT: JsonObject = {"endpoint": "http://collector:4318"}


def names_of(spec: JsonObject) -> set[object]:
    """Return the names of the volumes and mounts of a server."""
    cluster = cluster_of(spec)
    items = [*server_volumes(cluster, "revision"), *server_mounts(cluster)]
    return {item["name"] for item in items if isinstance(item, dict)}


def test_without_tracing_there_is_nothing_of_it() -> None:
    """Revisions of clusters that do not trace stay as they are."""
    assert "tracing" not in server_config(cluster_of({}))
    assert "tracing" not in names_of({})


def test_without_secrets_there_is_no_volume() -> None:
    """What has the server's default is left out; the service is the cluster."""
    spec: JsonObject = {"tracing": ENDPOINT}
    assert server_config(cluster_of(spec))["tracing"] == {
        **ENDPOINT,
        "service_name": "chat",
        "service_namespace": "realtime",
    }
    assert "tracing" not in names_of(spec)


def test_each_header_is_a_file() -> None:
    """Its name is in the configuration, its value in the volume only."""
    reference: JsonObject = {"name": "collector", "key": "token"}
    headers: list[JsonObject] = [{"name": name, "secretKeyRef": reference} for name in ("Authorization", "X-Tenant")]
    spec: JsonObject = {"tracing": {**ENDPOINT, "headers": [*headers]}}
    assert tracing_files(cluster_of(spec).spec.tracing) == {
        "header-0": SecretKeySelector(name="collector", key="token"),
        "header-1": SecretKeySelector(name="collector", key="token"),
    }
    assert "tracing" in names_of(spec)
