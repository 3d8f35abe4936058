"""Tests of rollouts that the operator begins by itself: one cluster, and whole fleets of simulated clusters."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from functools import partial

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.builders import BuildSettings
from realtime_operator.planning.decisions.operator_rollout import upcoming
from realtime_operator.planning.decisions.policies import PlannerSettings
from realtime_operator.planning.model.reasons import ConditionType
from realtime_operator.planning.scheduling.slots import OtherClusters
from realtime_operator.platforms.base import Key
from realtime_operator.reconciling.rollout_queue import RolloutQueue
from tests.kit.document import dig, text_at
from tests.unit.realtime_operator.planning.memory_platform import MemoryPlatform
from tests.unit.realtime_operator.planning.simulation import START

FOLLOW: JsonObject = {"operatorDefaults": "Follow"}
FAST: JsonObject = {"replicas": 1, "rollout": {**FOLLOW, "drain": {"settle": "1s"}}}
UPGRADED = PlannerSettings(BuildSettings("localhost/server:2", "localhost/redis:1"))
ALWAYS: JsonObject = {"schedule": "* * * * *", "duration": "1h"}
LATER: JsonObject = {"schedule": f"{(START + timedelta(minutes=10)):%M %H} * * *", "duration": "30m"}


def settled(namespace: str = "test", **spec: JsonValue) -> MemoryPlatform:
    """Return a cluster that runs what the operator's first release has made."""
    platform = MemoryPlatform({**FAST, **spec}, namespace=namespace)
    platform.settle()
    return platform


def images(platform: MemoryPlatform) -> set[str]:
    """Return the images of the revisions that have pods."""
    sets = [live for key, live in platform.objects.items() if key.kind == "ReplicaSet"]
    return {text_at(live, "metadata", "annotations", naming.ANNOTATION_MANIFEST).split('"image":"')[1].split('"')[0]
            for live in sets if dig(live, "spec", "replicas")}  # fmt: skip


def slot(platform: MemoryPlatform) -> str:
    """Return the state of the slot in the status."""
    return text_at(platform.status or {}, "rolloutSlot", "state")


def reason(platform: MemoryPlatform) -> str:
    """Return the reason of the condition Progressing."""
    conditions = (platform.status or {}).get("conditions")
    assert isinstance(conditions, list)
    return next(
        text_at(c, "reason") for c in conditions if isinstance(c, dict) and c["type"] == ConditionType.PROGRESSING
    )


def test_defaults_are_kept_unless_the_spec_follows_them() -> None:
    """As ADR 19 says; nothing waits either."""
    platform = settled(rollout={})
    platform.settings = UPGRADED
    platform.settle()
    assert images(platform) == {"localhost/server:1"}
    assert slot(platform) == ""


def test_newer_defaults_are_followed_in_steps() -> None:
    """The grant is written first, and acted upon by the next reconcile; the slot is held until the end."""
    platform = settled()
    platform.settings = UPGRADED
    states: list[str] = []
    for _ in range(100):
        platform.reconcile()
        if not states or states[-1] != slot(platform):
            states.append(slot(platform))
        if states[-1] == "Granted":
            assert images(platform) == {"localhost/server:1"}
    assert states == ["Granted", "Held", ""]
    assert images(platform) == {"localhost/server:2"}
    assert "newerDefaults" not in (platform.status or {})


def test_a_status_that_is_lost_after_the_begin_changes_nothing() -> None:
    """The new revision's ReplicaSet is there: the rollout goes on."""
    platform = settled()
    platform.settings = UPGRADED
    while images(platform) == {"localhost/server:1"}:
        platform.reconcile()
    platform.status = None
    platform.settle()
    assert images(platform) == {"localhost/server:2"}


def test_a_status_that_cannot_be_written_begins_nothing() -> None:
    """A grant that is in this process's memory alone would be unknown to the next leader."""
    platform = settled()
    platform.settings = UPGRADED
    platform.reconcile()
    assert slot(platform) == "Granted"
    world = replace(platform.world(), status_refused="no")
    platform.world = lambda: world  # type: ignore[method-assign] # the observation of this test
    platform.reconcile()
    assert images(platform) == {"localhost/server:1"}


def test_a_closed_window_is_waited_for_and_told() -> None:
    """Condition, Event and status name the window; the phase is Ready; in the window the rollout begins."""
    platform = settled(maintenance={"windows": [LATER]})
    platform.settings = UPGRADED
    platform.reconcile()
    assert slot(platform) == reason(platform) == "WaitingForWindow"
    assert (platform.status or {})["phase"] == "Ready"
    opens = START + timedelta(minutes=10)
    told = f"wait for the window {opens:%a %H:%M} Etc/UTC ({opens:%Y-%m-%dT%H:%M:00Z})"
    assert [e.message for e in platform.events if e.reason == "WaitingForWindow"] == [
        f"newer defaults of the operator {told}"
    ]
    assert 0 < (platform.reconcile().requeue_after or 0) <= 60
    assert len([e for e in platform.events if e.reason == "WaitingForWindow"]) == 1
    platform.life.now += 600
    platform.settle()
    assert images(platform) == {"localhost/server:2"}


def test_a_window_that_closes_between_grant_and_begin_is_waited_for_again() -> None:
    """The begin itself must be inside a window."""
    platform = settled(maintenance={"windows": [{**LATER, "duration": "1m"}]})
    platform.settings = UPGRADED
    platform.life.now += 10 * 60
    while slot(platform) != "Granted":
        platform.reconcile()
    platform.life.now += 60
    platform.reconcile()
    assert slot(platform) == "WaitingForWindow"
    assert images(platform) == {"localhost/server:1"}


def test_a_rollout_that_has_begun_goes_on_after_the_window() -> None:
    """Half of a rollout is worse than either end."""
    platform = settled(maintenance={"windows": [{**LATER, "duration": "1m"}]})
    platform.settings = UPGRADED
    platform.life.now += 10 * 60
    while slot(platform) != "Held":
        platform.reconcile()
    platform.life.now += 60
    platform.settle()
    assert images(platform) == {"localhost/server:2"}


def test_a_change_by_a_person_waits_for_nothing() -> None:
    """Neither for a window nor for a slot; it takes the newer defaults with it."""
    platform = settled(maintenance={"windows": [LATER]})
    platform.settings = UPGRADED
    platform.others = lambda: OtherClusters(holders=("team/other",))
    platform.reconcile()
    platform.change(server={"workers": 2})
    platform.reconcile()
    assert slot(platform) == "Held"
    platform.settle()
    assert images(platform) == {"localhost/server:2"}
    assert slot(platform) == ""


def test_a_pause_releases_the_slot() -> None:
    """And takes it back at its end, as a person ends it."""
    platform = settled()
    platform.settings = UPGRADED
    while slot(platform) != "Held":
        platform.reconcile()
    platform.change(paused=True)
    platform.reconcile()
    assert slot(platform) == "Released"
    platform.change(paused=False)
    platform.reconcile()
    assert slot(platform) == "Held"


def test_a_rollout_that_is_overdue_releases_the_slot() -> None:
    """Its new servers do not start: the old ones serve, and others need not wait for it."""
    platform = settled()
    platform.settings = UPGRADED
    platform.life.refuses_pods = True
    while slot(platform) != "Held":
        platform.reconcile()
    platform.life.now += 601
    platform.reconcile()
    assert slot(platform) == "Released"
    assert images(platform) == {"localhost/server:1", "localhost/server:2"}
    platform.life.refuses_pods = False
    platform.settle()
    assert images(platform) == {"localhost/server:2"}


def test_a_broken_default_is_replaced_by_the_next_one() -> None:
    """While it is not overdue it is given its time; then a third release takes its place."""
    platform = settled()
    platform.settings = UPGRADED
    platform.life.refuses_pods = True
    while slot(platform) != "Held":
        platform.reconcile()
    platform.settings = PlannerSettings(BuildSettings("localhost/server:3", "localhost/redis:1"))
    for _ in range(5):
        platform.reconcile()
    assert "localhost/server:3" not in images(platform)
    platform.life.now += 601
    for _ in range(5):
        platform.reconcile()
    platform.life.refuses_pods = False
    platform.settle()
    assert images(platform) == {"localhost/server:3"}


@pytest.mark.parametrize(
    ("windows", "opens"), [([], False), ([ALWAYS], False), ([LATER], True)], ids=["none", "open", "closed"]
)
def test_plans_know_the_rollout_to_come(windows: list[JsonValue], *, opens: bool) -> None:
    """And the window that it waits for."""
    platform = settled(maintenance={"windows": windows})
    later = upcoming(platform.cluster(), platform.objects, UPGRADED, START)
    assert later is not None
    assert (later.window is not None) is opens
    assert upcoming(platform.cluster(), platform.objects, platform.settings, START) is None


class Fleet:
    """Clusters of one operator, which is upgraded; `most` may be rolled at once."""

    def __init__(self, priorities: dict[str, int], most: int) -> None:
        self.platforms = {name: settled(name) for name in priorities}
        for name, platform in self.platforms.items():
            platform.annotations[naming.ANNOTATION_ROLLOUT_PRIORITY] = str(priorities[name])
        self.settings = replace(UPGRADED, max_concurrent_rollouts=most)
        self.begun: list[str] = []
        self.restart()

    def restart(self) -> None:
        """Let another process take over, which remembers nothing."""
        self.queue = RolloutQueue(lambda: [(p.stored(), list(p.objects.values())) for p in self.platforms.values()])
        for name, platform in self.platforms.items():
            platform.settings = self.settings
            platform.others = partial(self.queue.others, Key(name, "main"))

    def reconcile(self, name: str) -> None:
        """Reconcile one cluster."""
        key, platform = Key(name, "main"), self.platforms[name]
        before = images(platform)
        self.queue.note(key, platform.reconcile(tick=3).turn)
        self.queue.stored(key)
        self.queue.reconciled(key, failed=False)
        if "localhost/server:2" in images(platform) - before:
            self.begun.append(name)

    def rolling(self) -> list[str]:
        """Return the clusters that are rolled."""
        return [name for name, platform in self.platforms.items() if len(images(platform)) > 1]


@pytest.mark.parametrize("most", [1, 2])
def test_a_fleet_is_rolled_by_priority_and_never_more_than_allowed(most: int) -> None:
    """The oldest cluster of a priority is first; here all are of one age, and their names decide."""
    fleet = Fleet({"a": 0, "b": 5, "c": -1}, most)
    for turn in range(100):
        for name in fleet.platforms:
            fleet.reconcile(name)
            assert len(fleet.rolling()) <= most
        if turn % 8 == 7:
            fleet.restart()
        if len(fleet.begun) == len(fleet.platforms) and not any(map(slot, fleet.platforms.values())):
            break
    assert set(fleet.begun[:most]) == {"b", "a"} if most == 2 else fleet.begun == ["b", "a", "c"]
    assert fleet.begun[2:] == ["c"]
    assert {image for platform in fleet.platforms.values() for image in images(platform)} == {"localhost/server:2"}
    assert [slot(platform) for platform in fleet.platforms.values()] == [""] * 3


def test_those_that_wait_are_told_their_position_and_who_is_first() -> None:
    """In the status and in the condition Progressing."""
    fleet = Fleet({"a": 0, "b": 5, "c": 0}, 1)
    for _ in range(4):
        for name in fleet.platforms:
            fleet.reconcile(name)
    assert fleet.rolling() == ["b"]
    status = fleet.platforms["c"].status or {}
    assert dig(status, "rolloutSlot", "position") == 2
    assert dig(status, "rolloutSlot", "heldBy") == ["b/main"]
    assert "position 2, at most 1 at once, running: b/main" in str(status["conditions"])


def test_nothing_is_begun_where_none_is_allowed() -> None:
    """Chart value 0."""
    fleet = Fleet({"a": 0}, 0)
    for _ in range(10):
        fleet.reconcile("a")
    assert fleet.begun == []
    assert "rollouts.maxConcurrent" in str((fleet.platforms["a"].status or {})["conditions"])
