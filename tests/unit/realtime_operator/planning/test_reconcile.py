"""Tests of the decisions in the life of a whole cluster, with the real builders."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.planning.model.plan import (
    ApplyObject,
    CreateObject,
    DeleteObject,
    EmitEvent,
    EnsureSecret,
    Quiesce,
    ScaleRevision,
    SetStatus,
)
from realtime_operator.planning.model.world import ObjectKey, object_key
from tests.unit.realtime_operator.planning.memory_platform import MemoryPlatform, dig

SMALL: JsonObject = {"replicas": 2, "rollout": {"drain": {"connectionsPerSecond": 50}}}
REDIS = ObjectKey("apps/v1", "StatefulSet", "main-redis")


def settled(spec: JsonObject | None = None) -> MemoryPlatform:
    """Return a cluster that settled an hour ago."""
    platform = MemoryPlatform(SMALL if spec is None else spec)
    platform.settle()
    platform.events.clear()
    platform.life.now += 3600
    return platform


def conditions(platform: MemoryPlatform) -> dict[str, tuple[str, str]]:
    """Return status and reason of the conditions by type."""
    found = (platform.status or {}).get("conditions")
    assert isinstance(found, list)
    return {str(c["type"]): (str(c["status"]), str(c["reason"])) for c in found if isinstance(c, dict)}


def reasons(platform: MemoryPlatform) -> list[str]:
    """Return the reasons of the emitted Events."""
    return [event.reason for event in platform.events]


def server_names(platform: MemoryPlatform) -> list[str]:
    """Return the names of all server pods."""
    return [pod.name for pod in platform.life.pods]


def test_an_empty_spec_becomes_a_running_cluster() -> None:
    """Two servers, a Redis, credentials and Services are made, ready and settled."""
    platform = settled({})
    assert platform.status is not None
    assert platform.status["phase"] == "Ready"
    assert (platform.status["ready"], platform.status["readyReplicas"]) == ("2/2", 2)
    assert platform.status["message"] == "enough servers are available"
    assert platform.status["currentRevision"] == platform.status["targetRevision"]
    assert {name: status for name, (status, _) in conditions(platform).items()} == {
        "Accepted": "True",
        "BackplaneReady": "True",
        "CredentialsKept": "True",
        "Degraded": "False",
        "EndpointReady": "True",
        "Progressing": "False",
        "Ready": "True",
    }


def test_a_settled_cluster_gives_an_empty_plan() -> None:
    """The plan has no writes, and no requeue before the resync."""
    plan = settled().plan()
    assert (plan.actions, plan.requeue_after) == ((), None)


def test_secrets_come_before_all_that_reads_them() -> None:
    """The first plan makes no object that reads them."""
    actions = MemoryPlatform().decide().actions
    assert {type(action) for action in actions[:2]} == {EnsureSecret}
    made = {object_key(action.manifest).kind for action in actions[2:] if isinstance(action, CreateObject)}
    assert made == {"ServiceAccount", "Service", "PodDisruptionBudget"}


def test_a_deleted_child_comes_back_alone() -> None:
    """Only this object is made again (a Secret first, then objects that depend on its new value)."""
    for key in settled().objects:
        platform = settled()
        platform.delete(key)
        first = platform.plan().actions
        made = [a for a in first if isinstance(a, CreateObject | EnsureSecret)]
        assert [object_key(action.manifest) for action in made] == [key]
        assert not any(isinstance(action, DeleteObject | Quiesce | ScaleRevision) for action in first)
        platform.settle()
        assert key in platform.objects


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("metadata", "labels"), {}),
        (("metadata", "ownerReferences"), []),
        (("spec",), {"replicas": 7}),
    ],
)
def test_an_edited_child_is_put_right(path: tuple[str, ...], value: JsonValue) -> None:
    """Edits of a label, the owner and the spec of Redis are undone."""
    platform = settled()
    target = platform.objects[REDIS]
    for part in path[:-1]:
        target = target[part]  # type: ignore[assignment] # only objects are on the way
    target[path[-1]] = value
    actions = platform.plan().actions
    assert [object_key(a.manifest) for a in actions if isinstance(a, ApplyObject | CreateObject)] == [REDIS]


def test_a_change_of_the_configuration_is_rolled_out() -> None:
    """Events report it; at the end the old revision's objects are deleted and no connection was cut."""
    platform = settled()
    platform.life.connect(100)
    platform.life.now += 60
    before = set(platform.objects)
    platform.change(server={"limits": {"connections": 5000}})
    platform.settle()
    assert platform.life.removed_with_connections == 0
    assert platform.status is not None
    assert "rollout" not in platform.status
    gone = before - set(platform.objects)
    assert {key.kind for key in gone} == {"ReplicaSet", "ConfigMap"}
    events = reasons(platform)
    assert events[0] == "RolloutStarted"
    assert events[-1] == "RolloutCompleted"
    assert events.count("Quiesced") == 2
    assert events.count("Draining") == 2


def test_what_does_not_concern_the_servers_moves_nobody() -> None:
    """The type of the Service, the number of servers, and the rollout policy are such changes."""
    platform = settled()
    platform.change(endpoint={"service": {"type": "NodePort"}})
    platform.settle()
    assert "RolloutStarted" not in reasons(platform)
    assert dig(platform.objects[ObjectKey("v1", "Service", "main")], "spec", "type") == "NodePort"


def test_a_spec_that_cannot_be_carried_out_changes_nothing() -> None:
    """Accepted is False with the reason, reported once; servers go on; a valid spec makes it True."""
    platform = settled()
    before = dict(platform.objects)
    platform.change(replicas=5, api={"key": {"secretKeyRef": {"name": "absent", "key": "k"}}})
    platform.settle()
    assert platform.objects == before
    assert conditions(platform)["Accepted"] == ("False", "SecretNotFound")
    assert conditions(platform)["Ready"][0] == "True"
    assert platform.status is not None
    assert platform.status["phase"] == "Degraded"
    assert reasons(platform) == ["SecretNotFound"]
    platform.secrets["absent"] = {"k": "0" * 64}
    platform.settle()
    assert conditions(platform)["Accepted"][0] == "True"
    assert len(platform.life.pods) == 5


def test_a_paused_cluster_is_only_watched() -> None:
    """Only the status is written."""
    platform = settled()
    platform.change(paused=True, replicas=5, server={"workers": 2})
    plan = platform.reconcile()
    assert all(isinstance(action, SetStatus | EmitEvent) for action in plan.actions)
    platform.settle()
    assert platform.status is not None
    assert platform.status["phase"] == "Paused"
    platform.change(paused=False)
    platform.settle()
    assert len(platform.life.pods) == 5


def test_scaling_down_drains_before_a_server_goes() -> None:
    """`kubectl scale` changes spec.replicas."""
    platform = settled()
    platform.life.connect(60)
    platform.life.now += 60
    platform.change(replicas=1)
    platform.settle()
    assert len(platform.life.pods) == 1
    assert platform.life.removed_with_connections == 0
    assert sum(pod.connections for pod in platform.life.pods) == pytest.approx(60)


def test_the_number_of_servers_follows_the_connections() -> None:
    """Servers are added at once, and drained after the window."""
    scaling: JsonObject = {
        "minReplicas": 1,
        "maxReplicas": 4,
        "connectionsPerReplica": 10,
        "scaleDownStabilization": "30s",
    }
    platform = MemoryPlatform({**SMALL, "autoscaling": scaling})
    platform.settle()
    assert len(platform.life.pods) == 1
    assert platform.plan().requeue_after == 5
    platform.life.connect(35)
    platform.settle()
    assert len(platform.life.pods) == 4
    for pod in platform.life.pods:
        pod.connections = 1
    platform.life.now += 100
    for _ in range(40):
        platform.reconcile()
    platform.settle()
    assert len(platform.life.pods) == 1
    assert platform.life.removed_with_connections == 0
    assert reasons(platform).count("Scaled") == 2


def test_the_managed_redis_stays_until_the_last_server_that_uses_it_has_gone() -> None:
    """A change to an external Redis is an ordinary rolling update."""
    platform = settled()
    platform.secrets["mine"] = {"url": "0" * 64}
    platform.change(backplane={"redis": {"external": {"url": {"secretKeyRef": {"name": "mine", "key": "url"}}}}})
    redis_while_old_servers = []
    for _ in range(100):
        old = {pod.revision for pod in platform.life.pods}
        platform.reconcile()
        if len(old) > 1:
            redis_while_old_servers.append(REDIS in platform.objects)
    assert all(redis_while_old_servers)
    assert REDIS not in platform.objects
    assert not any(key.name == "main-redis" for key in platform.objects)


def test_a_server_that_cannot_start_makes_the_cluster_degraded() -> None:
    """The message has the kubelet's reason; the old servers stay."""
    platform = settled()
    platform.change(image={"repository": "localhost/none", "tag": "1"})
    platform.reconcile()
    assert platform.status is not None
    for pod in platform.life.pods:
        pod.broken = pod.revision == platform.status["targetRevision"]
    for _ in range(10):
        platform.reconcile()
    assert conditions(platform)["Degraded"] == ("True", "ServerCannotStart")
    assert conditions(platform)["Ready"][0] == "True"
    assert platform.life.available() == 2


def test_a_cluster_that_is_being_deleted_gets_no_plan() -> None:
    platform = settled()
    cluster = platform.cluster()
    metadata = cluster.metadata.model_copy(update={"deletion_timestamp": "2026-01-01T00:00:00Z"})
    from realtime_operator.planning.reconcile import reconcile
    from tests.unit.realtime_operator.planning.memory_platform import SETTINGS
    from tests.unit.realtime_operator.planning.simulation import START

    assert reconcile(cluster.model_copy(update={"metadata": metadata}), platform.world(), START, SETTINGS).actions == ()


def test_no_server_sends_the_password_of_redis_to_somebody_else() -> None:
    """When an application owns Redis' Service, no pod is made that would log in there."""
    platform = MemoryPlatform(SMALL, taken={ObjectKey("v1", "Service", "main-redis")})
    for _ in range(10):
        platform.reconcile()
    assert platform.life.pods == []
    assert not any(key.kind == "ReplicaSet" for key in platform.objects)
    platform.taken.clear()
    platform.settle()
    assert len(platform.life.pods) == 2


def test_the_status_has_no_address_of_somebody_else() -> None:
    """Backends would send their key to it."""
    platform = MemoryPlatform(SMALL, taken={ObjectKey("v1", "Service", "main-api")})
    for _ in range(20):
        platform.reconcile()
    endpoints = dig(platform.status or {}, "endpoints")
    assert isinstance(endpoints, dict)
    assert endpoints.keys() == {"client"}


def test_each_new_finding_is_told_once() -> None:
    """A new finding is reported behind one that stays; changed numbers are not."""
    platform = MemoryPlatform(SMALL, taken={ObjectKey("v1", "Service", "main-api")})
    for _ in range(20):
        platform.reconcile()
    assert reasons(platform).count("NameTaken") == 1
    service = ObjectKey("v1", "Service", "main")
    platform.refused[service] = "no more than 3 Services"
    platform.change(endpoint={"service": {"type": "NodePort"}})
    platform.reconcile()
    platform.refused[service] = "no more than 4 Services"
    platform.reconcile()
    events = [event.message for event in platform.events if event.type.value == "Warning"]
    assert [message for message in events if "Service main was refused" in message] == [
        "Service main was refused: no more than 3 Services"
    ]


def test_a_pause_keeps_what_was_refused() -> None:
    """Refusals stay reported during a pause, although nothing is tried."""
    platform = MemoryPlatform(SMALL, taken={ObjectKey("v1", "Service", "main-api")})
    for _ in range(20):
        platform.reconcile()
    platform.paused = "the operator is paused"
    for _ in range(3):
        platform.reconcile()
    assert conditions(platform)["Degraded"] == ("True", "NameTaken")


def test_a_scale_up_is_no_fault() -> None:
    """Existing servers serve, added ones are not missing; no warning is emitted."""
    platform = settled()
    platform.change(replicas=5)
    seen = set()
    for _ in range(3):
        platform.reconcile()
        seen.add((*conditions(platform)["Ready"], conditions(platform)["Progressing"][1]))
    assert seen == {("True", "ServersAvailable", "ScalingUp")}
    platform.settle()
    assert not any(event.type.value == "Warning" for event in platform.events)


def test_no_server_is_wanted() -> None:
    """With 0 replicas the cluster is settled."""
    platform = settled({**SMALL, "replicas": 0})
    assert conditions(platform)["Ready"] == ("False", "ScaledToZero")
    assert platform.plan().actions == ()


def test_a_pod_that_would_break_is_refused_and_nothing_is_touched() -> None:
    """Accepted has the path in the spec; the servers stay."""
    platform = settled()
    before = {key: dict(live) for key, live in platform.objects.items()}
    platform.change(pod={"template": {"spec": {"containers": [{"name": "server", "args": ["other"]}]}}})
    for _ in range(5):
        platform.reconcile()
    assert conditions(platform)["Accepted"] == ("False", "InvalidField")
    assert "spec.pod.template.spec.containers[0].args" in str((platform.status or {})["message"])
    assert platform.objects == before
    platform.change(pod={})
    platform.settle()
    assert conditions(platform)["Accepted"][0] == "True"


def test_common_metadata_reaches_every_object_and_replaces_no_server() -> None:
    """Removed labels are removed too, and in the end nothing is written."""
    platform = settled()
    servers, revision = server_names(platform), (platform.status or {})["targetRevision"]
    platform.change(commonMetadata={"labels": {"team": "chat"}, "annotations": {"example.com/owner": "a"}})
    platform.settle()
    labels = {key: dig(live, "metadata", "labels", "team") for key, live in platform.objects.items()}
    assert set(labels.values()) == {"chat"}
    platform.change(commonMetadata={})
    platform.settle()
    assert {dig(live, "metadata", "labels", "team") for live in platform.objects.values()} == {None}
    assert platform.plan().actions == ()
    assert (server_names(platform), (platform.status or {})["targetRevision"]) == (servers, revision)


def test_a_disabled_disruption_budget_is_removed() -> None:
    platform = settled()
    servers = server_names(platform)
    platform.change(disruptionBudget={"mode": "Disabled"})
    platform.settle()
    assert not [key for key in platform.objects if key.kind == "PodDisruptionBudget"]
    assert server_names(platform) == servers


changes: st.SearchStrategy[JsonObject] = st.one_of(
    st.integers(0, 5).map(lambda count: {"replicas": count}),
    st.integers(1, 3).map(lambda workers: {"server": {"workers": workers}}),
    st.sampled_from([{"endpoint": {"service": {"type": "NodePort"}}}, {"endpoint": {}}]),
    st.booleans().map(lambda paused: {"paused": paused}),
)


@settings(max_examples=25)
@given(st.lists(st.tuples(changes, st.integers(0, 25)), min_size=1, max_size=5))
def test_any_history_of_changes_ends_settled(history: list[tuple[JsonObject, int]]) -> None:
    """No connection is cut, the end state matches the last spec, and writes end."""
    platform = settled()
    platform.life.connect(40)
    for change, reconciles in history:
        platform.change(**change)
        for _ in range(reconciles):
            platform.reconcile()
    platform.change(paused=False)
    platform.settle()
    assert platform.life.removed_with_connections == 0
    assert len(platform.life.pods) == dig(platform.spec, "replicas")
    assert len([key for key in platform.objects if key.kind == "ReplicaSet"]) == 1
    assert platform.plan().actions == ()
    assert naming.revision_object("main", str((platform.status or {})["currentRevision"])) in {
        key.name for key in platform.objects
    }


def test_a_network_policy_is_deleted_in_the_middle_of_a_rollout() -> None:
    """It may be what keeps the new servers from becoming ready."""
    platform = settled({**SMALL, "networkPolicy": {"mode": "Restricted"}})
    policies = {key for key in platform.objects if key.kind == "NetworkPolicy"}
    assert {key.name for key in policies} == {"main", "main-egress", "main-redis"}
    platform.change(server={"limits": {"messagesPerSecond": 250}}, networkPolicy={"mode": "None"})
    deleted = {action.key for action in platform.plan().actions if isinstance(action, DeleteObject)}
    assert deleted == policies
