"""Tests of the rotation of credentials: at every moment the values that somebody may use are accepted."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.planning.credentials.rotation import (
    GRACE,
    PROPAGATION,
    Phase,
    Rotation,
    describe,
    next_rotation,
    read_rotation,
)
from realtime_operator.planning.model.plan import RotateCredentials, RotationStep
from realtime_operator.planning.model.world import ObjectKey
from tests.unit.realtime_operator.planning.memory_platform import MemoryPlatform, dig
from tests.unit.realtime_operator.planning.simulation import START

SECRET = "main-credentials"
KEYS = (naming.KEY_ADMIN_TOKEN, naming.KEY_API, naming.KEY_TOKEN_SECRET)
SMALL: JsonObject = {"replicas": 2}


@pytest.fixture
def platform() -> MemoryPlatform:
    """A cluster that has settled."""
    made = MemoryPlatform(SMALL)
    made.settle()
    made.events.clear()
    return made


def values(platform: MemoryPlatform) -> dict[str, str]:
    """Return the values in use."""
    return {key: platform.secrets[SECRET][key] for key in KEYS}


def second(platform: MemoryPlatform) -> dict[str, str]:
    """Return the alternate values."""
    return {key: platform.secrets[SECRET][naming.alternate(key)] for key in KEYS}


def credentials_kept(platform: MemoryPlatform) -> tuple[object, object, str]:
    """Return status, reason and message of the condition."""
    conditions = (platform.status or {})["conditions"]
    assert isinstance(conditions, list)
    found = next(c for c in conditions if isinstance(c, dict) and c["type"] == "CredentialsKept")
    return found["status"], found["reason"], str(found["message"])


def request(platform: MemoryPlatform, value: str = "1") -> None:
    """Ask for a rotation."""
    platform.annotations[naming.ANNOTATION_ROTATE] = value


def wait(platform: MemoryPlatform, time: timedelta) -> None:
    """Let time pass, and reconcile until nothing is to be done."""
    platform.life.now += time.total_seconds()
    platform.settle()


def test_a_settled_cluster_has_two_values_of_each_credential(platform: MemoryPlatform) -> None:
    assert len({*values(platform).values(), *second(platform).values()}) == 6


def test_the_new_values_reach_all_servers_before_anybody_uses_them(platform: MemoryPlatform) -> None:
    """They are the alternate ones first; the ones in use stay."""
    used, alternate = values(platform), second(platform)
    request(platform)
    platform.settle()
    new = second(platform)
    assert values(platform) == used
    assert not set(new.values()) & set(alternate.values())
    status, reason, message = credentials_kept(platform)
    assert (status, reason) == ("True", "Rotating")
    assert "main-credentials has them from 2026-" in message
    wait(platform, PROPAGATION / 2)
    assert (values(platform), second(platform)) == (used, new)
    wait(platform, PROPAGATION / 2)
    assert (values(platform), second(platform)) == (new, used)


def test_the_former_values_are_accepted_for_a_day(platform: MemoryPlatform) -> None:
    """After it they are gone, and the rotation is over; nothing was reported as replaced."""
    used = values(platform)
    request(platform)
    platform.settle()
    wait(platform, PROPAGATION)
    new = values(platform)
    assert "the former ones are accepted until 2026-01-02" in credentials_kept(platform)[2]
    assert [event.reason for event in platform.events] == ["CredentialsRotated"]
    assert "give your backends the new API key; sign tokens with the new secret" in platform.events[0].message
    wait(platform, GRACE - timedelta(minutes=1))
    assert second(platform) == used
    wait(platform, timedelta(minutes=1))
    assert values(platform) == new
    assert not set(second(platform).values()) & {*used.values(), *new.values()}
    assert credentials_kept(platform)[:2] == ("True", "Unchanged")
    assert [event.type for event in platform.events] == ["Normal"]


def test_the_same_request_rotates_once_and_a_new_one_again(platform: MemoryPlatform) -> None:
    """A request during a rotation begins when that one is over."""
    request(platform)
    platform.settle()
    request(platform, "2")
    wait(platform, PROPAGATION)
    first = values(platform)
    wait(platform, GRACE)
    wait(platform, PROPAGATION)
    assert values(platform) != first
    wait(platform, GRACE)
    last = values(platform)
    wait(platform, GRACE * 3)
    assert values(platform) == last


def test_an_edited_secret_keeps_its_rotation(platform: MemoryPlatform) -> None:
    """Labels that somebody removed come back, and the state stays."""
    request(platform)
    platform.settle()
    live = platform.objects[ObjectKey("v1", "Secret", SECRET)]
    state = read_rotation(live)
    assert state is not None
    metadata = live["metadata"]
    assert isinstance(metadata, dict)
    metadata["labels"] = {}
    platform.settle()
    assert dig(platform.objects[ObjectKey("v1", "Secret", SECRET)], "metadata", "labels") != {}
    assert read_rotation(platform.objects[ObjectKey("v1", "Secret", SECRET)]) == state


def test_servers_that_accept_one_value_are_replaced_first(platform: MemoryPlatform) -> None:
    """The condition says how; until then nothing is changed."""
    before = values(platform), second(platform)
    hidden = [platform.objects[key] for key in platform.objects if key.kind == "ReplicaSet"]
    for replica_set in hidden:
        text = json.dumps(replica_set["spec"]).replace("-alternate", "-other")
        replica_set["spec"] = json.loads(text)
    request(platform)
    decided = platform.decide()
    assert not any(isinstance(action, RotateCredentials) for action in decided.actions)
    assert decided.facts is not None
    assert "realtime rollout restart" in decided.facts.rotation
    assert (values(platform), second(platform)) == before


def test_a_rotation_waits_for_servers_of_earlier_releases(platform: MemoryPlatform) -> None:
    """They would refuse the new API key; so might a server that does not answer."""
    request(platform)
    for changed in (lambda report: replace(report, accepts_alternate_api_key=False), lambda _: None):
        world = platform.world()
        first, *others = world.servers
        assert first.report is not None
        older = replace(world, servers=(replace(first, report=changed(first.report)), *others))
        assert next_rotation(platform.cluster(), older, platform.now()) is None
        assert "waits until all servers answer" in describe(platform.cluster(), older)
        assert next_rotation(platform.cluster(), world, platform.now()) is not None


def test_own_credentials_are_not_rotated() -> None:
    """The spec's own key and token secret are the user's; the admin token is rotated at once."""
    reference: JsonObject = {"secretKeyRef": {"name": "own", "key": "key"}}
    spec: JsonObject = {
        **SMALL, "api": {"key": reference}, "auth": {"tokens": [{"algorithm": "HS256", **reference}]},
    }  # fmt: skip
    platform = MemoryPlatform(spec, secrets={"own": {"key": "0"}})
    platform.settle()
    assert set(platform.secrets[SECRET]) == {"admin-token", "admin-token-alternate"}
    request(platform)
    (action,) = (action for action in platform.decide().actions if isinstance(action, RotateCredentials))
    assert (action.step, action.keys) == (RotationStep.RENEW, ("admin-token",))


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"request": "1", "phase": "Other", "since": "2026-01-01T00:00:00Z"}',
             '{"request": "1", "phase": "Prepared", "since": "2026-01-01T00:00:00"}'],
)  # fmt: skip
def test_an_unreadable_state_is_none(text: str) -> None:
    assert read_rotation({"metadata": {"annotations": {naming.ANNOTATION_ROTATION: text}}}) is None


def test_the_state_is_read_as_it_was_written() -> None:
    state = Rotation("2026-11-28", Phase.EXCHANGED, START)
    assert read_rotation({"metadata": {"annotations": {naming.ANNOTATION_ROTATION: state.annotation()}}}) == state
