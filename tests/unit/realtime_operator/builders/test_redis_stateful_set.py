"""Tests of the managed Redis; tests/component/test_managed_redis.py runs its container's command."""

from __future__ import annotations

import json

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.builders import BuildSettings
from realtime_operator.builders.redis_stateful_set import build_redis_stateful_set
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


def test_a_new_password_is_a_new_pod() -> None:
    """A changed password changes the template: Redis reads it at its start only."""
    one, other = built(), built(password_hash="f" * 64)
    assert object_at(one, "spec", "template") != object_at(other, "spec", "template")
    assert object_at(one, "spec", "template", "spec") == object_at(other, "spec", "template", "spec")


def test_the_password_is_in_a_file_only() -> None:
    """The manifest has the hash of the password, and no environment variable with it."""
    assert "env" not in container()
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
