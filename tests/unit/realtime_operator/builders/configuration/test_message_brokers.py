"""Message brokers and consumers in the configuration and the pods of servers."""

from __future__ import annotations

from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1_server import SecretKeySelector
from realtime_operator.builders.configuration.config_map import server_config
from realtime_operator.builders.configuration.message_brokers import broker_files
from realtime_operator.builders.servers.volumes import server_mounts, server_volumes
from tests.kit.manifests import cluster_of

URL: JsonObject = {"secretKeyRef": {"name": "rabbitmq", "key": "url"}}
BROKER: JsonObject = {"name": "main", "rabbitMQ": {"url": URL}}
CONSUMER: JsonObject = {"broker": "main", "queue": "orders", "mapping": {"channel": "orders"}}


def names_of(spec: JsonObject) -> set[object]:
    """Return the names of the volumes and mounts of a server."""
    cluster = cluster_of(spec)
    items = [*server_volumes(cluster, "revision"), *server_mounts(cluster)]
    return {item["name"] for item in items if isinstance(item, dict)}


def test_without_brokers_there_is_nothing_of_them() -> None:
    """Revisions of clusters without consumers stay as they are."""
    config = server_config(cluster_of({}))
    assert not {"brokers", "consumers"} & config.keys()
    assert "brokers" not in names_of({})


def test_the_url_is_in_a_file_only() -> None:
    """What has the server's default is left out."""
    spec: JsonObject = {"brokers": [BROKER], "consumers": [CONSUMER]}
    config = server_config(cluster_of(spec))
    assert config["brokers"] == [{"name": "main", "rabbitmq": {"url_file": "/etc/realtime/brokers/main.url"}}]
    assert config["consumers"] == [{"broker": "main", "queue": "orders", "mapping": {"channel": "orders"}}]
    assert broker_files(cluster_of(spec).spec.brokers) == {
        "main.url": SecretKeySelector(name="rabbitmq", key="url"),
    }
    assert "brokers" in names_of(spec)


def test_a_command_mapping_for_all_methods_is_kept() -> None:
    """An empty object says more than none."""
    spec: JsonObject = {"brokers": [BROKER], "consumers": [{**CONSUMER, "mapping": {"commands": {}}}]}
    assert server_config(cluster_of(spec))["consumers"] == [
        {"broker": "main", "queue": "orders", "mapping": {"commands": {}}}
    ]
