"""Tests of the target's provenance in the status."""

from __future__ import annotations

from realtime_operator.api.base import JsonObject
from realtime_operator.builders import BuildSettings, build_shared
from realtime_operator.cli.kubernetes_target import read_defaults
from realtime_operator.planning.model.world import World
from realtime_operator.planning.revisions import choice, provenance
from tests.kit.document import object_at
from tests.kit.manifests import cluster_of, with_redis_password

SETTINGS = BuildSettings("server:1", "redis:1", "Always", ("registry", "other"), "1.2.3")


def composed(spec: JsonObject) -> JsonObject:
    """Return the fields of the status of a new cluster."""
    cluster = cluster_of(spec)
    world = World({}, (), with_redis_password(cluster))
    redis = choice.choose_redis(cluster, world, build_shared(cluster, SETTINGS, world.secrets))
    return provenance.compose(cluster, world, choice.choose(cluster, {}, SETTINGS), redis, SETTINGS)


def test_a_new_cluster_is_made_with_the_defaults_of_now() -> None:
    """No default is newer; an image of the spec replaces the default."""
    made = composed({})
    assert made["madeWith"] == {"operatorVersion": "1.2.3", "serverImage": "server:1", "redisImage": "redis:1"}
    assert "newerDefaults" not in made
    assert object_at(composed({"image": {"tag": "2"}}), "madeWith")["serverImage"] == "server:2"


def test_an_external_redis_has_no_image() -> None:
    """A hash of Redis is missing too."""
    made = composed({"backplane": {"redis": {"external": {"url": {"secretKeyRef": {"name": "r", "key": "u"}}}}}})
    assert "redisImage" not in object_at(made, "madeWith")
    assert object_at(made, "madeOf").keys() == {"generation", "servers"}


def test_commands_read_the_operators_defaults_as_they_are() -> None:
    """`plan` computes the same revision as the operator."""
    assert read_defaults(object_at(composed({}), "defaults")) == SETTINGS
