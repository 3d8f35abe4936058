"""Tests of revisions: the fields that make a new one, and those that do not."""

from __future__ import annotations

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.builders.servers.revision import build_revision
from realtime_operator.builders.settings import BuildSettings
from tests.kit.document import dig, object_at
from tests.kit.manifests import SETTINGS, cluster_of

SAME: list[JsonObject] = [
    {"replicas": 7},
    {"paused": True},
    {"autoscaling": {"maxReplicas": 9, "connectionsPerReplica": 1000}},
    {"rollout": {"maxSurge": 3, "maxUnavailable": 1}},
    {"rollout": {"drain": {"connectionsPerSecond": 7}}},
    {"endpoint": {"service": {"type": "LoadBalancer"}}},
    {"endpoint": {"ingress": {}}},
    {"endpoint": {"gateway": {"parentRefs": [{"name": "public"}]}}},
    {"backplane": {"redis": {"managed": {"resources": {"limits": {"memory": "1Gi"}}}}}},
    {"server": {"heartbeat": {"interval": "0m25s"}, "limits": {"messageBytes": 65536}}},
    {"pod": {"resources": {"requests": {"cpu": "0.1"}}}},
]
OTHER: list[JsonObject] = [
    {"image": {"tag": "next"}},
    {"server": {"workers": 2}},
    {"server": {"heartbeat": {"interval": "20s"}}},
    {"namespaces": [{"name": "chat"}]},
    {"auth": {"anonymous": "Allow"}},
    {"auth": {"tokens": [{"secretKeyRef": {"name": "t", "key": "k"}}]}},
    {"api": {"key": {"secretKeyRef": {"name": "a", "key": "k"}}}},
    {"backplane": {"redis": {"external": {"url": {"secretKeyRef": {"name": "r", "key": "u"}}}}}},
    {"rollout": {"drain": {"timeout": "5m"}}},
    {"endpoint": {"tls": {"secretRef": {"name": "own"}}}},
    {"endpoint": {"proxies": {"trusted": ["10.0.0.0/8"]}}},
    {"api": {"tls": {"secretRef": {"name": "own"}}}},
    {"pod": {"labels": {"team": "chat"}}},
    {"pod": {"resources": {"requests": {"cpu": "200m"}}}},
]


def name_of(spec: JsonObject) -> str:
    """Return the name of the revision that a spec makes."""
    return build_revision(cluster_of(spec), SETTINGS).name


@pytest.mark.parametrize("spec", SAME, ids=str)
def test_what_servers_need_not_know_makes_no_new_revision(spec: JsonObject) -> None:
    assert name_of(spec) == name_of({})


@pytest.mark.parametrize("spec", OTHER, ids=str)
def test_what_servers_must_know_makes_a_new_revision(spec: JsonObject) -> None:
    assert name_of(spec) != name_of({})


def test_every_change_has_its_own_name() -> None:
    assert len({name_of(spec) for spec in [{}, *OTHER]}) == len(OTHER) + 1


def test_going_back_gives_the_former_name() -> None:
    """The name depends on the spec alone: not on a counter, a clock or the object's identity."""
    revisions = [build_revision(cluster_of(), SETTINGS) for _ in range(2)]
    assert revisions[0] == revisions[1]


def test_a_new_default_image_is_a_new_revision() -> None:
    """A new default image changes the name; planning/revisions decides whether servers get it."""
    settings = BuildSettings(server_image="ghcr.io/realtime-operator/server:0.2.0", redis_image=SETTINGS.redis_image)
    assert build_revision(cluster_of(), settings).name != name_of({})


def test_the_name_is_everywhere() -> None:
    """Names, labels, selector and volume agree."""
    revision = build_revision(cluster_of(), SETTINGS)
    replica_set = revision.replica_set(2)
    full = naming.revision_object("chat", revision.name)
    assert dig(replica_set, "metadata", "name") == dig(revision.config_map, "metadata", "name") == full
    for path in (
        ("metadata", "labels"),
        ("spec", "selector", "matchLabels"),
        ("spec", "template", "metadata", "labels"),
    ):
        assert object_at(replica_set, *path)[naming.LABEL_REVISION] == revision.name
    volumes = dig(replica_set, "spec", "template", "spec", "volumes")
    assert dig(volumes, 0, "configMap", "name") == full


def test_scaling_does_not_change_the_seal() -> None:
    """The number of pods is not part of the applied hash."""
    revision = build_revision(cluster_of(), SETTINGS)
    small, large = revision.replica_set(0), revision.replica_set(9)
    assert (dig(small, "spec", "replicas"), dig(large, "spec", "replicas")) == (0, 9)
    assert small["metadata"] == large["metadata"]
