"""Tests of the managed Redis; tests/component/test_managed_redis.py runs its container's command."""

from __future__ import annotations

import json

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.builders import BuildSettings, build_shared
from realtime_operator.builders.configuration.config_map import server_config
from realtime_operator.builders.redis.pod import ENV_POD_NAME
from realtime_operator.builders.redis.secret import build_redis_secret
from realtime_operator.builders.redis.stateful_set import build_redis_stateful_set
from realtime_operator.builders.servers.volumes import server_volumes
from tests.kit.document import dig, object_at, objects_at, text_at
from tests.kit.manifests import PASSWORD_HASH, SETTINGS, cluster_of, with_redis_password


def built(spec: JsonObject | None = None, password_hash: str = PASSWORD_HASH) -> JsonObject:
    """Return the StatefulSet of a cluster whose password exists."""
    secrets = {"chat-redis": {naming.KEY_REDIS_PASSWORD: password_hash}}
    found = build_redis_stateful_set(cluster_of(spec), SETTINGS, secrets)
    assert found is not None
    return found


def container(spec: JsonObject | None = None) -> JsonObject:
    """Return the only container."""
    (found,) = objects_at(built(spec), "spec", "template", "spec", "containers")
    return found


@pytest.mark.parametrize("secrets", [{}, {"chat-redis": {}}, {"chat-redis": {"other": "hash"}}])
def test_it_waits_for_its_password(secrets: dict[str, dict[str, str]]) -> None:
    """Without the password no StatefulSet is built."""
    assert build_redis_stateful_set(cluster_of(), SETTINGS, secrets) is None


def test_an_external_redis_needs_none() -> None:
    """A password that is left over does not make a Redis."""
    spec: JsonObject = {"backplane": {"redis": {"external": {"url": {"secretKeyRef": {"name": "r", "key": "u"}}}}}}
    assert build_redis_stateful_set(cluster_of(spec), SETTINGS, with_redis_password(cluster_of())) is None


def test_pull_secrets_of_operator_and_spec_are_joined() -> None:
    settings = BuildSettings("server:1", "redis:7", image_pull_secrets=("b", "c"))
    own = cluster_of({"backplane": {"redis": {"managed": {"imagePullSecrets": [{"name": "c"}, {"name": "a"}]}}}})
    manifest = build_redis_stateful_set(own, settings, with_redis_password(own))
    pod = object_at(manifest, "spec", "template", "spec")
    assert pod["imagePullSecrets"] == [{"name": "a"}, {"name": "b"}, {"name": "c"}]
    assert "imagePullSecrets" not in object_at(built(), "spec", "template", "spec")


def test_a_new_password_is_no_new_pod() -> None:
    """The running pod takes a changed password from its file."""
    assert built() == built(password_hash="f" * 64)


def test_the_password_is_in_a_file_only() -> None:
    """The manifest has the hash of the password, and no environment variable with it."""
    assert [text_at(one, "name") for one in objects_at(container(), "env")] == [ENV_POD_NAME]
    assert PASSWORD_HASH not in json.dumps(built())


@pytest.mark.parametrize(
    ("limits", "expected"), [({}, 161061273), ({"memory": "1Gi"}, 644245094), ({"cpu": "1"}, 161061273)]
)
def test_redis_keeps_within_its_memory(limits: JsonObject, expected: int) -> None:
    """Redis may use a part of the limit; when it is full, writes fail and nothing is evicted."""
    command = text_at(container({"backplane": {"redis": {"managed": {"resources": {"limits": limits}}}}}), "command", 2)
    assert f"--maxmemory {expected} --maxmemory-policy noeviction" in command


def test_the_image_of_the_spec_wins() -> None:
    """The spec's image replaces the operator's default."""
    assert container()["image"] == SETTINGS.redis_image
    assert container({"backplane": {"redis": {"managed": {"image": "own/redis:1"}}}})["image"] == "own/redis:1"


def test_its_data_outlives_the_container() -> None:
    """Data is written to a volume of the pod."""
    volumes = {text_at(v, "name"): v for v in objects_at(built(), "spec", "template", "spec", "volumes")}
    assert dig(volumes["data"], "emptyDir") == {}


FAILOVER: JsonObject = {"backplane": {"redis": {"managed": {"mode": "Failover"}}}}


def test_failover_has_a_sentinel_in_each_pod() -> None:
    """Three pods start at once, on different nodes if possible; Redis makes another one the primary before it stops."""
    spec = object_at(built(FAILOVER), "spec")
    assert (spec["replicas"], spec["serviceName"], spec["podManagementPolicy"]) == (3, "chat-redis-nodes", "Parallel")
    data, sentinel = objects_at(spec, "template", "spec", "containers")
    assert (data["name"], sentinel["name"]) == ("redis", "sentinel")
    assert "CLIENT PAUSE" in text_at(data, "lifecycle", "preStop", "exec", "command", 2)
    assert dig(spec, "template", "spec", "affinity", "podAntiAffinity")
    assert "affinity" not in object_at(built(), "spec", "template", "spec")


def test_servers_ask_the_sentinels() -> None:
    """The addresses of the sentinels are the host names of the pods; the password is that of Redis."""
    redis = object_at(server_config(cluster_of(FAILOVER)), "backplane", "redis")
    password = f"{naming.REDIS_CREDENTIALS_DIRECTORY}/password"
    assert redis == {
        "sentinel": {
            "addresses": [f"chat-redis-{number}.chat-redis-nodes.realtime.svc:26379" for number in range(3)],
            "master_name": "main",
            "password_file": password,
        },
        "password_file": password,
    }


def test_failover_has_a_disruption_budget_and_host_names() -> None:
    """One pod at a time may be evicted; a pod alone has no budget, which would block node drains."""
    kinds = [("Service", "chat-redis-nodes"), ("PodDisruptionBudget", "chat-redis")]
    for spec, expected in ((FAILOVER, kinds), ({}, [])):
        cluster = cluster_of(spec)
        made = build_shared(cluster, SETTINGS, with_redis_password(cluster))
        found = [(str(one["kind"]), text_at(one, "metadata", "name")) for one in made]
        assert [one for one in found if one in kinds] == expected


TLS: JsonObject = {"backplane": {"redis": {"managed": {"tls": {}}}}}


@pytest.mark.parametrize("mode", ["Standalone", "Failover"])
def test_with_tls_no_port_is_plain(mode: str) -> None:
    """Redis and sentinels listen with TLS only, and every call of redis-cli uses it."""
    managed: JsonObject = {"mode": mode, "tls": {}}
    pod = object_at(built({"backplane": {"redis": {"managed": managed}}}), "spec", "template", "spec")
    for one in objects_at(pod, "containers"):
        program = text_at(one, "command", 2)
        assert "--port 0 --tls-port" in program
        probes = [text_at(one, name, "exec", "command", 2) for name in ("readinessProbe", "livenessProbe")]
        hook = text_at(one, "lifecycle", "preStop", "exec", "command", 2)
        for text in (program, *probes, hook):
            assert text.count('"$cli"') == text.count('"$cli" --tls'), text
        assert "/etc/realtime/redis-tls" in [mount["mountPath"] for mount in objects_at(one, "volumeMounts")]
    assert "ca.key" not in json.dumps(pod)


def test_servers_verify_redis_by_its_authority() -> None:
    """They mount its certificate beside the password, and no private key."""
    redis = object_at(server_config(cluster_of(TLS)), "backplane", "redis")
    assert redis == {
        "address": "chat-redis.realtime.svc:6379",
        "password_file": "/etc/realtime/redis/password",
        "tls": True,
        "ca_file": "/etc/realtime/redis/ca.crt",
    }
    (volume,) = (one for one in server_volumes(cluster_of(TLS), "a") if dig(one, "name") == "redis")
    items = [dig(source, "secret", "items") for source in objects_at(volume, "projected", "sources")]
    assert items == [[{"key": "password", "path": "password"}], [{"key": "ca.crt", "path": "ca.crt"}]]


def test_the_exporter_has_a_password_of_its_own() -> None:
    """It comes from the generated Secret, and is neither in arguments nor in the manifest."""
    cluster = cluster_of({"backplane": {"redis": {"managed": {"tls": {}, "exporter": {}}}}})
    secret = build_redis_secret(cluster)
    assert secret is not None
    assert secret.keys == ("password", "exporter-password")
    manifest = build_redis_stateful_set(cluster, SETTINGS, with_redis_password(cluster))
    _, exporter = objects_at(manifest, "spec", "template", "spec", "containers")
    assert not {"command", "args"} & exporter.keys()
    environment = {text_at(one, "name"): one for one in objects_at(exporter, "env")}
    assert dig(environment["REDIS_PASSWORD"], "valueFrom", "secretKeyRef") == {
        "name": "chat-redis", "key": "exporter-password",
    }  # fmt: skip
    assert text_at(environment["REDIS_ADDR"], "value") == "rediss://127.0.0.1:6379"
    assert dig(exporter, "securityContext", "capabilities", "drop") == ["ALL"]
