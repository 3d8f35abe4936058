"""Tests of a takeover by another operator: objects are kept until the spec changes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1_managed_redis import ManagedRedis
from realtime_operator.builders import BuildSettings
from realtime_operator.builders.record import redis_hash
from realtime_operator.builders.redis import pod
from realtime_operator.builders.servers import replica_set
from realtime_operator.planning.decisions.policies import PlannerSettings
from realtime_operator.planning.forecast import forecast
from realtime_operator.planning.model.plan import (
    ApplyObject,
    CreateObject,
    DeleteObject,
    DeleteServer,
    Drain,
    Quiesce,
    ScaleRevision,
)
from realtime_operator.planning.model.world import ObjectKey, object_key
from realtime_operator.planning.reconcile import Decision
from realtime_operator.planning.revisions import history
from tests.kit.document import dig, object_at, objects_at, parse, text_at
from tests.kit.revision_worlds import FOLDER, SERVER_DEFAULTS, server_defaults
from tests.unit.realtime_operator.planning.memory_platform import SETTINGS, MemoryPlatform
from tests.unit.realtime_operator.planning.simulation import Pod

WORLDS = sorted(path for path in FOLDER.glob("*/*.json") if path.name != SERVER_DEFAULTS)
DEFAULTS = sorted(FOLDER.glob(f"*/{SERVER_DEFAULTS}"))
UPGRADED = PlannerSettings(
    BuildSettings(server_image="localhost/server:2", redis_image="localhost/redis:2", operator_version="9.9.9")
)
HEAVY = ("ReplicaSet", "StatefulSet", "ConfigMap")
CHANGE: JsonObject = {"limits": {"connections": 4321}}
REDIS = ObjectKey("apps/v1", "StatefulSet", "main-redis")


def id_of(path: Path) -> str:
    """Return the commit and the name of the spec."""
    return f"{path.parent.name}/{path.stem}"


def taken_over(path: Path, settings: PlannerSettings = UPGRADED) -> MemoryPlatform:
    """Return a cluster as an older commit's operator left it, with connections."""
    world = parse(path.read_text())
    platform = MemoryPlatform(object_at(world, "spec"), settings=settings)
    platform.objects = {object_key(item): item for item in objects_at(world, "objects")}
    platform.status = object_at(world, "status")
    platform.generation = int(str(world["generation"]))
    platform.secrets = {
        name: {key: str(value) for key, value in object_at(keys).items()}
        for name, keys in object_at(world, "secrets").items()
    }
    servers = objects_at(world, "status", "servers")
    platform.life.pods = [
        Pod(f"old-{number}", text_at(server, "revision"), -3600, connections=10)
        for number, server in enumerate(servers)
    ]
    return platform


def settled(settings: PlannerSettings = SETTINGS, **spec: JsonValue) -> MemoryPlatform:
    """Return a cluster that this commit's operator has made, with connections."""
    platform = MemoryPlatform({"replicas": 2, **spec}, settings=settings)
    platform.settle()
    platform.events.clear()
    platform.life.connect(40)
    platform.life.now += 3600
    return platform


def replica_sets(platform: MemoryPlatform) -> set[str]:
    """Return the names of the ReplicaSets."""
    return {key.name for key in platform.objects if key.kind == "ReplicaSet"}


def assert_nobody_is_moved(plan: Decision) -> None:
    """Assert that no server, and no object that servers or Redis are made from, is changed."""
    touched = [
        action
        for action in plan.actions
        if isinstance(action, Quiesce | Drain | DeleteServer | DeleteObject | ScaleRevision)
        or (isinstance(action, ApplyObject | CreateObject) and action.manifest["kind"] in HEAVY)
    ]
    assert touched == []


def take_over(platform: MemoryPlatform) -> None:
    """Reconcile until settled, and assert that nothing relevant changes."""
    before = (replica_sets(platform), (platform.status or {})["targetRevision"], platform.objects.get(REDIS))
    for _ in range(20):
        assert_nobody_is_moved(platform.reconcile())
    assert (replica_sets(platform), (platform.status or {})["targetRevision"], platform.objects.get(REDIS)) == before
    assert [event for event in platform.events if event.reason == "RolloutStarted"] == []
    assert platform.plan().actions == ()


def test_there_are_worlds_of_older_commits() -> None:
    """Without fixtures the tests below would test nothing."""
    assert len(WORLDS) >= 4
    assert {path.stem for path in WORLDS} == {path.stem for path in (FOLDER / "specs").glob("*.yaml")}


@pytest.mark.parametrize("path", WORLDS, ids=id_of)
def test_an_upgrade_of_the_operator_changes_nothing(path: Path) -> None:
    """With other default images too there is no new revision, and no apply of servers and Redis."""
    take_over(taken_over(path))


@pytest.mark.parametrize("path", WORLDS, ids=id_of)
def test_a_field_that_keeps_the_revision_keeps_it_after_an_upgrade(path: Path) -> None:
    """The number of servers changes, before and after the new operator's first reconcile."""
    for first_look in (True, False):
        platform = taken_over(path)
        before = replica_sets(platform)
        if first_look:
            take_over(platform)
        platform.spec.pop("autoscaling", None)
        platform.change(replicas=15, rollout={**object_at(platform.spec, "rollout"), "maxSurge": 3})
        plan = platform.reconcile()
        assert not any(isinstance(a, Quiesce | Drain) for a in plan.actions)
        platform.settle()
        assert replica_sets(platform) == before
        assert len(platform.life.pods) == 15
        assert platform.life.removed_with_connections == 0


@pytest.mark.parametrize("path", WORLDS, ids=id_of)
def test_a_change_makes_exactly_one_new_revision_with_the_new_defaults(path: Path) -> None:
    """All connections are moved to it once; the status has its provenance."""
    platform = taken_over(path)
    platform.reconcile()
    before, redis = replica_sets(platform), platform.objects.get(REDIS)
    platform.change(server=CHANGE)
    seen: set[str] = set()
    for _ in range(400):
        settled_now = not platform.reconcile(3.0).actions
        seen |= replica_sets(platform)
        if settled_now and platform.plan().requeue_after != UPGRADED.poll_seconds:
            break
    assert len(seen - before) == 1
    assert replica_sets(platform) == seen - before
    assert platform.life.removed_with_connections == 0
    assert platform.objects.get(REDIS) == redis, "a change of the servers does not restart the managed Redis"
    made_with = object_at(platform.status, "madeWith")
    assert made_with["operatorVersion"] == "9.9.9"
    if "image" not in platform.spec:
        assert made_with["serverImage"] == "localhost/server:2"


EVERYTHING = FOLDER / "2026-11-28-api" / "everything.json"


@pytest.mark.parametrize(
    "change",
    [
        {"hooks": {"rpc": {"url": "http://other"}}},
        {"hooks": {"signingKey": {"secretKeyRef": {"name": "other", "key": "secret"}}}},
        {"rollout": {"drain": {"timeout": "7m", "settle": "10s"}}},
    ],
    ids=str,
)
def test_a_change_while_no_operator_ran_is_followed(change: JsonObject) -> None:
    """A new revision is made of the change, once the Secrets have all that its servers read."""
    platform = taken_over(EVERYTHING)
    before = replica_sets(platform)
    for name, value in change.items():
        platform.change(**{name: {**object_at(platform.spec, name), **object_at(value)}})
    platform.secrets["other"] = {"secret": "0" * 64}
    platform.reconcile()
    platform.reconcile()
    assert len(replica_sets(platform) - before) == 1


RECORDED = [path for path in WORLDS if f'"{naming.ANNOTATION_MANIFEST}"' in path.read_text()]


@pytest.mark.parametrize("path", RECORDED, ids=id_of)
def test_what_an_older_commit_recorded_is_read(path: Path) -> None:
    """Edits of its objects are undone from the record."""
    platform = taken_over(path)
    (key,) = [key for key in platform.objects if key.kind == "ReplicaSet"]
    before = json.dumps(platform.objects[key], sort_keys=True)
    object_at(platform.objects[key], "metadata")["labels"] = {
        **object_at(platform.objects[key], "metadata", "labels"), naming.LABEL_COMPONENT: "edited",
    }  # fmt: skip
    platform.settle()
    assert json.dumps(platform.objects[key], sort_keys=True) == before


def test_there_are_records_of_older_commits() -> None:
    """Without records the test above would test nothing."""
    assert RECORDED


@pytest.mark.parametrize("path", DEFAULTS, ids=lambda path: path.parent.name)
def test_no_default_of_the_server_has_changed(path: Path) -> None:
    """The operator leaves defaults out, so servers of an older release must have the same ones."""
    older, now = parse(path.read_text()), server_defaults()
    for name, document in older.items():
        assert known_alike(document, now[name]) == []


def known_alike(older: JsonValue, now: JsonValue, path: str = "") -> list[str]:
    """Return the fields of the older document that have another value now, or none."""
    if isinstance(older, dict) and isinstance(now, dict):
        return [found for name, value in older.items() for found in known_alike(value, now.get(name), f"{path}.{name}")]
    return [] if older == now else [f"{path}: {older} -> {now}"]


def test_newer_defaults_are_told() -> None:
    """The status has the target's and the newer defaults; nothing while they are equal."""
    platform = settled()
    assert "newerDefaults" not in object_at(platform.status)
    platform.settings = UPGRADED
    take_over(platform)
    assert object_at(platform.status)["newerDefaults"] == ["Servers", "Redis"]
    assert dig(platform.status, "madeWith", "serverImage") == "localhost/server:1"
    assert dig(platform.status, "madeWith", "redisImage") == "localhost/redis:1"
    assert dig(platform.status, "defaults", "serverImage") == "localhost/server:2"


def test_a_restart_takes_the_newer_defaults() -> None:
    """The annotation of `rollout restart` replaces the servers; Redis is kept, as its restart would end histories."""
    platform = settled()
    platform.settings = UPGRADED
    take_over(platform)
    platform.change(pod={"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}})
    platform.settle()
    assert object_at(platform.status)["newerDefaults"] == ["Redis"]
    assert dig(platform.status, "madeWith", "serverImage") == "localhost/server:2"
    assert dig(platform.status, "madeWith", "redisImage") == "localhost/redis:1"


def test_a_change_of_the_managed_redis_takes_its_newer_default_image() -> None:
    """Servers are kept."""
    platform = settled()
    platform.settings = UPGRADED
    take_over(platform)
    before = replica_sets(platform)
    platform.change(backplane={"redis": {"managed": {"resources": {"limits": {"memory": "1Gi"}}}}})
    platform.settle()
    assert dig(platform.status, "madeWith", "redisImage") == "localhost/redis:2"
    assert replica_sets(platform) == before


@pytest.mark.parametrize("kind", ["ReplicaSet", "StatefulSet"])
def test_an_edit_is_put_right_as_it_was_made(kind: str) -> None:
    """The former image is restored, not the newer default."""
    platform = settled()
    platform.settings = UPGRADED
    take_over(platform)
    key = next(key for key in platform.objects if key.kind == kind)
    before = json.dumps(platform.objects[key]["metadata"]), json.dumps(dig(platform.objects[key], "spec", "template"))
    template = object_at(platform.objects[key], "spec", "template", "spec")
    objects_at(template, "containers")[0]["image"] = "edited"
    platform.settle()
    live = platform.objects[key]
    assert (json.dumps(live["metadata"]), json.dumps(dig(live, "spec", "template"))) == before


def test_a_configuration_that_was_deleted_comes_back_as_it_was() -> None:
    """The ConfigMap is restored from its ReplicaSet's record, as servers of the revision may start at any time."""
    platform = settled()
    platform.settings = UPGRADED
    take_over(platform)
    key = next(key for key in platform.objects if key.kind == "ConfigMap")
    before = platform.objects[key]
    platform.delete(key)
    platform.settle()
    assert platform.objects[key] == before


@pytest.mark.parametrize(
    "record",
    [
        "", "no JSON", "[]", "[1]", '[{"kind":"ClusterRoleBinding"}]',
        '[{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"other","namespace":"test"}}]',
    ],
)  # fmt: skip
def test_a_record_that_is_not_the_operators_is_not_applied(record: str) -> None:
    """An edited record cannot make the operator apply another object; the revision is kept as it is."""
    platform = settled()
    platform.settings = UPGRADED
    take_over(platform)
    key = next(key for key in platform.objects if key.kind == "ReplicaSet")
    object_at(platform.objects[key], "metadata", "annotations")[naming.ANNOTATION_MANIFEST] = record
    assert_nobody_is_moved(platform.reconcile())
    platform.change(replicas=3)
    platform.settle()
    assert len(platform.life.pods) == 3
    assert replica_sets(platform) == {key.name}


def test_going_back_during_a_rollout_finds_the_revision_that_is_still_there() -> None:
    """Servers of the revision, made by an earlier operator, are resumed, and none is replaced."""
    platform = settled()
    platform.settings = UPGRADED
    take_over(platform)
    before, names = replica_sets(platform), {pod.name for pod in platform.life.pods}
    spec = platform.spec
    platform.change(server=CHANGE)
    for _ in range(3):
        platform.reconcile()
    assert len(replica_sets(platform)) == 2
    old = platform.cluster()
    platform.spec = spec
    predicted = forecast(old, platform.cluster(), (), UPGRADED, platform.objects)
    platform.generation += 1
    platform.settle()
    assert replica_sets(platform) == before == {f"main-{predicted.revision}"}
    assert names <= {pod.name for pod in platform.life.pods}


def test_a_forecast_tells_what_will_be_done() -> None:
    """After an upgrade the forecast has the kept revision, or the new one if the change makes one."""
    platform = settled()
    platform.settings = UPGRADED
    take_over(platform)
    servers = platform.world().servers
    old, target = platform.cluster(), object_at(platform.status)["targetRevision"]
    for change in ({"replicas": 3}, {"server": CHANGE}):
        platform.change(**change)
        predicted = forecast(old, platform.cluster(), servers, UPGRADED, platform.objects)
        assert (predicted.revision == target) is ("replicas" in change)
        platform.settle()
        assert object_at(platform.status)["targetRevision"] == predicted.revision


def test_a_spec_that_was_refused_and_is_accepted_later_is_carried_out() -> None:
    """The generation of the spec was observed, but not carried out."""
    for known in (True, False):
        platform = settled()
        platform.change(server=CHANGE, api={"key": {"secretKeyRef": {"name": "absent", "key": "k"}}})
        platform.settle()
        if not known:
            platform.status = {k: v for k, v in object_at(platform.status).items() if k != "madeOf"}
        target = object_at(platform.status)["targetRevision"]
        platform.secrets["absent"] = {"k": "0" * 64}
        platform.settle()
        assert object_at(platform.status)["targetRevision"] != target


def test_a_status_that_was_lost_is_no_reason_to_move_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """The objects' records identify the spec, whatever another release would make of it."""
    platform = settled()
    platform.settings = UPGRADED
    monkeypatch.setattr(pod, "MEMORY_PART", 0.5)
    monkeypatch.setattr(replica_set, "STOP_SECONDS", 60)
    platform.status = None
    before = replica_sets(platform)
    for _ in range(20):
        assert_nobody_is_moved(platform.reconcile())
    assert replica_sets(platform) == before


def test_a_default_of_the_api_that_has_changed_keeps_the_revision() -> None:
    """The stored spec changes without an edit, at once or later."""
    platform = settled()
    platform.settings = UPGRADED
    platform.spec = {**platform.spec, "server": {"heartbeat": {"interval": "20s"}}}  # the same generation
    take_over(platform)
    before = replica_sets(platform)
    platform.change(replicas=3)
    platform.settle()
    assert replica_sets(platform) == before


def test_a_new_password_keeps_the_redis() -> None:
    """The running pod takes it from its file."""
    platform = settled()
    before = platform.objects[REDIS]
    take_over(platform)
    platform.secrets["main-redis"] = {naming.KEY_REDIS_PASSWORD: "f" * 64}
    platform.settle()
    assert platform.objects[REDIS] == before


def test_a_new_password_replaces_a_redis_of_an_earlier_release() -> None:
    """Such a Redis reads its password at its start only; the new one has the current defaults."""
    platform = settled()
    checksum = platform.secrets["main-redis"][naming.KEY_REDIS_PASSWORD]
    annotations = object_at(platform.objects[REDIS], "metadata", "annotations")
    del annotations[naming.ANNOTATION_MANIFEST]
    annotations[naming.ANNOTATION_SPEC] = redis_hash(ManagedRedis(), checksum)
    template = object_at(platform.objects[REDIS], "spec", "template", "metadata")
    template["annotations"] = {naming.ANNOTATION_CHECKSUM: checksum[:16]}
    platform.settings = UPGRADED
    take_over(platform)
    assert dig(platform.status, "madeWith", "redisImage") == "localhost/redis:1"
    platform.secrets["main-redis"] = {naming.KEY_REDIS_PASSWORD: "f" * 64}
    platform.settle()
    assert dig(platform.status, "madeWith", "redisImage") == "localhost/redis:2"


def test_a_new_operator_version_alone_is_no_newer_default() -> None:
    platform = settled()
    platform.settings = replace(SETTINGS, build=replace(SETTINGS.build, operator_version="2"))
    take_over(platform)
    assert "newerDefaults" not in object_at(platform.status)


def test_going_back_to_what_is_gone_is_said_before() -> None:
    """After an upgrade and a restart, the former spec makes another revision with the new defaults, as forecast."""
    platform = settled()
    former = object_at(platform.status)["targetRevision"]
    platform.settings = UPGRADED
    take_over(platform)
    platform.change(pod={"annotations": {"kubectl.kubernetes.io/restartedAt": "2026-01-01T00:00:00Z"}})
    platform.settle()
    old = platform.cluster()
    (way,) = history.rollbacks(old, platform.spec, None)
    assert way.revision == former
    platform.spec = way.spec
    predicted = forecast(old, platform.cluster(), platform.world().servers, UPGRADED, platform.objects)
    platform.generation += 1
    platform.settle()
    assert object_at(platform.status)["targetRevision"] == predicted.revision != former


STEPS = st.sampled_from(["upgrade", "downgrade", "change", "scale", "lose the status", "wait"])


@settings(max_examples=20)
@given(st.lists(STEPS, min_size=1, max_size=8))
def test_whatever_happens_only_changes_make_revisions(steps: list[str]) -> None:
    """Whatever operators take over, each change of the spec makes one new revision."""
    platform = settled()
    made, changes = replica_sets(platform), 0
    for step in steps:
        match step:
            case "upgrade":
                platform.settings = UPGRADED
            case "downgrade":
                platform.settings = SETTINGS
            case "change":
                changes += 1
                platform.change(server={"limits": {"connections": 1000 + changes}})
            case "scale":
                platform.change(replicas=5 - int(str(platform.spec["replicas"])))
            case "lose the status":
                platform.status = None
            case "wait":
                platform.settle()
        platform.reconcile()
        made |= replica_sets(platform)
    platform.settle()
    made |= replica_sets(platform)
    assert len(made) == 1 + changes
    assert len(replica_sets(platform)) == 1
    assert platform.life.removed_with_connections == 0
