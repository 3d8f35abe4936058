"""Tests of a server's files: those of its pod, adapted to one machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import build_revision, build_secrets
from realtime_operator.platforms.local.driver import SETTINGS
from realtime_operator.platforms.local.object_store import ObjectStore
from realtime_operator.platforms.local.redis import LocalRedis
from realtime_operator.platforms.local.server_files import Ports, ServerFiles
from realtime_operator.platforms.local.state_folder import StateFolder
from realtime_server.settings import Settings
from tests.kit.manifests import cluster_of


def write(folder: StateFolder, *, redis: bool = True, **spec: JsonValue) -> tuple[Settings, ObjectStore]:
    """Write the files of a server of this spec; return the settings that it would run with."""
    cluster = RealtimeCluster.from_object({"metadata": {"name": "chat"}, "spec": spec})
    store = ObjectStore(folder.secrets)
    for template in build_secrets(cluster):
        store.ensure_secret(template.manifest, template.keys)
    store.put_secret("keys", {"current": "mine", "url": "redis://elsewhere"})
    revision = build_revision(cluster, SETTINGS.build)
    store.apply(revision.config_map)
    local_redis = LocalRedis(folder, Path("/bin/false"), lambda: None) if redis else None
    files = ServerFiles(folder, store, Ports(client=9000, api=9001), local_redis)
    return Settings.load(files.write("chat-a", revision.replica_set(1))), store


def test_a_server_listens_where_all_do_and_finds_its_secrets(folder: StateFolder) -> None:
    """Ports are shared, the admin API is on a socket, the development page is on; credentials are the Secret's."""
    settings, store = write(folder)
    listen = settings.listen
    assert (listen.host, listen.client_port, listen.api_port, listen.shared) == ("127.0.0.1", 9000, 9001, True)
    assert listen.admin_socket == folder.admin_socket("chat-a")
    assert settings.development
    secret = store.secret("chat-credentials")
    assert settings.api.key_file is not None
    assert settings.api.key_file.read_text() == secret["api-key"]
    assert settings.auth.token_keys[0].file.read_text() == secret["token-secret"]


def test_the_redis_of_the_machine_takes_the_place_of_the_managed_one(folder: StateFolder) -> None:
    """Redis is reached by its socket with the generated password; without one there is no backplane."""
    settings, store = write(folder)
    assert settings.backplane.redis is not None
    assert settings.backplane.redis.url_file is not None
    url = settings.backplane.redis.url_file.read_text()
    assert url == f"unix://:{store.secret('chat-redis')['password']}@{folder.run}/redis.sock?db=0"
    with_failover, _ = write(folder, backplane={"redis": {"managed": {"mode": "Failover"}}})
    assert with_failover.backplane.redis == settings.backplane.redis
    alone, _ = write(folder, redis=False)
    assert alone.backplane.redis is None


@pytest.mark.parametrize(
    ("protocols", "urls"),
    [
        ({}, ["ws://127.0.0.1:8000/connection/websocket"]),
        (
            {"centrifuge": {"mode": "Disabled"}, "socketIO": {"mode": "Enabled", "path": "/io/"}},
            ["http://127.0.0.1:8000/ (Socket.IO, path /io/)"],
        ),
        (
            {
                "socketIO": {"mode": "Enabled", "namespaces": [{"name": "/"}, {"name": "/chat"}]},
                "webSocket": {"routes": [{"name": "orders", "path": "/{id}", "subscribe": ["orders"]}]},
            },
            [
                "ws://127.0.0.1:8000/connection/websocket",
                "http://127.0.0.1:8000/ (Socket.IO)",
                "http://127.0.0.1:8000/chat (Socket.IO)",
                "ws://127.0.0.1:8000/ws/orders/{id}",
            ],
        ),
        (
            {"socketIO": {"mode": "Disabled", "namespaces": [{"name": "/chat"}]}},
            ["ws://127.0.0.1:8000/connection/websocket"],
        ),
    ],
)
def test_clients_of_every_protocol_have_an_address(protocols: JsonObject, urls: list[str]) -> None:
    assert list(Ports().client_urls(cluster_of({"protocols": protocols}).spec.protocols)) == urls


def test_what_the_spec_brings_is_used(folder: StateFolder) -> None:
    """Token secrets, API key and Redis of the spec are used."""
    external: JsonObject = {"redis": {"external": {"url": {"secretKeyRef": {"name": "keys", "key": "url"}}}}}
    reference: JsonObject = {"name": "keys", "key": "current"}
    settings, _ = write(
        folder,
        backplane=external,
        auth={"tokens": [{"secretKeyRef": reference}]},
        api={"key": {"secretKeyRef": reference}},
    )
    assert settings.backplane.redis is not None
    assert settings.backplane.redis.url_file is not None
    assert settings.backplane.redis.url_file.read_text() == "redis://elsewhere"
    assert [key.file.read_text() for key in settings.auth.token_keys] == ["mine"]
    assert settings.api.key_file is not None
    assert settings.api.key_file.read_text() == "mine"


def test_an_external_redis_by_its_address_is_used(folder: StateFolder) -> None:
    """Its password is in a file of its own, so that it is not taken for the managed one."""
    external: JsonObject = {"address": "redis:6379", "password": {"secretKeyRef": {"name": "keys", "key": "current"}}}
    settings, _ = write(folder, backplane={"redis": {"external": external}})
    assert settings.backplane.redis is not None
    assert settings.backplane.redis.address == "redis:6379"
    assert settings.backplane.redis.password_file is not None
    assert settings.backplane.redis.password_file.read_text() == "mine"


def test_the_page_for_developers_may_connect_where_origins_are_listed(folder: StateFolder) -> None:
    """Origins of the page are added to the spec's; without any all are allowed."""
    settings, _ = write(folder, server={"origins": ["https://app.example.com"]})
    assert settings.origins == ("https://app.example.com", "http://127.0.0.1:9000", "http://localhost:9000")
    everybody, _ = write(folder)
    assert everybody.origins == ()


def test_a_changed_secret_changes_its_file_in_one_step(folder: StateFolder) -> None:
    """A running server's files are updated; unchanged files are not written."""
    settings, store = write(folder)
    cluster = RealtimeCluster.from_object({"metadata": {"name": "chat"}})
    revision = build_revision(cluster, SETTINGS.build)
    assert settings.api.key_file is not None
    token_file = settings.auth.token_keys[0].file
    before = token_file.stat().st_ino
    store.put_secret("chat-credentials", {"api-key": "rotated"})
    redis = LocalRedis(folder, Path("/bin/false"), lambda: None)
    file = ServerFiles(folder, store, Ports(), redis).write("chat-a", revision.replica_set(1))
    assert settings.api.key_file.read_text() == "rotated"
    assert token_file.stat().st_ino == before
    assert json.loads(file.read_text())["listen"]["client_port"] == 8000


def test_volumes_of_the_spec_mean_nothing_here(folder: StateFolder) -> None:
    """They are of Kubernetes: the server starts without them."""
    volumes: list[JsonValue] = [{"name": "a", "configMap": {"name": "none"}}, {"name": "b", "hostPath": {"path": "/"}}]
    mounts: list[JsonValue] = [{"name": "a", "mountPath": "/a"}, {"name": "b", "mountPath": "/b"}]
    settings, _ = write(folder, pod={"volumes": volumes, "volumeMounts": mounts})
    assert settings.listen.client_port == 9000
    assert not (folder.server("chat-a") / "a").exists()


def test_there_is_no_tls_on_this_machine(folder: StateFolder) -> None:
    """Servers listen on loopback, and URLs are ws:// and http://, also for a spec with certificates."""
    tls: JsonObject = {"secretRef": {"name": "own"}}
    settings, _ = write(folder, endpoint={"tls": tls, "proxies": {"trusted": ["10.0.0.0/8"]}}, api={"tls": tls})
    assert (settings.listen.tls, settings.api.tls) == (None, None)
