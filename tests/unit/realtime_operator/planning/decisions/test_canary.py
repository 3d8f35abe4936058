"""Canaries of a whole cluster: spec, status, conditions, Events, and what a rollback must not touch."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import object_at, objects_at, text_at
from realtime_operator.builders import BuildSettings
from realtime_operator.planning.decisions.operator_rollout import upcoming
from realtime_operator.planning.decisions.policies import PlannerSettings
from realtime_operator.planning.forecast import forecast
from realtime_operator.planning.scheduling.slots import OtherClusters
from tests.unit.realtime_operator.planning.memory_platform import MemoryPlatform, dig


def canary_rollout(on_failure: str = "Rollback", **canary: str) -> JsonObject:
    """Return `spec.rollout` with one step."""
    return {"canary": {"steps": [{"share": "50%", "hold": "10s"}], "onFailure": on_failure, **canary}}


def replaced(spec_rollout: JsonObject, *, refuses: bool = True) -> MemoryPlatform:
    """Return a cluster of two servers with connections whose servers are to be replaced; new ones refuse clients."""
    platform = MemoryPlatform(spec={"replicas": 2, "rollout": spec_rollout})
    platform.settle()
    platform.life.connect(40)
    platform.life.now += 3600
    platform.change(server={"limits": {"messagesPerSecond": 200}})
    live = platform.life.live

    def live_on(tick: float) -> None:
        live(tick)
        for pod in platform.life.pods:
            is_new = pod.revision != text_at(platform.status or {}, "currentRevision")
            pod.probe_code = "100" if refuses and is_new else ""

    platform.life.live = live_on  # type: ignore[method-assign] # new pods get their behaviour
    return platform


def until(platform: MemoryPlatform, holds: Callable[[JsonObject], bool], limit: int = 120) -> JsonObject:
    """Reconcile until the status is as wanted, and return it."""
    for _ in range(limit):
        platform.reconcile()
        if platform.status is not None and holds(platform.status):
            return platform.status
    raise AssertionError(f"not after {limit} reconciles: {platform.status}")


def phase(status: JsonObject) -> str:
    """Return the phase of the canary."""
    return text_at(status, "canary", "phase")


def reason(status: JsonObject, kind: str) -> str:
    """Return the reason of a condition."""
    return next(text_at(entry, "reason") for entry in objects_at(status, "conditions") if entry["type"] == kind)


def test_a_canary_that_does_well_is_told_and_ends() -> None:
    """The status has the step with its gates; at the end there is none."""
    platform = replaced(canary_rollout(), refuses=False)
    held = until(platform, lambda status: phase(status) == "Holding")
    assert reason(held, "Progressing") == "CanaryHolding"
    assert object_at(held, "canary")["step"] == 1
    done = until(platform, lambda status: dig(status, "currentRevision") == dig(status, "targetRevision"))
    assert "canary" not in done
    reasons = [event.reason for event in platform.events]
    assert [r for r in reasons if "Canary" in r] == ["CanaryStepStarted", "CanaryPassed"]
    assert {entry["outcome"] for entry in objects_at(held, "canary", "gates")} <= {"Passed", "Undecided"}


def test_a_rollback_makes_the_former_revision_the_target_again() -> None:
    """The status says what was rolled back and why; no history is written for a spec that does not serve."""
    platform = replaced(canary_rollout())
    before = text_at(platform.status or {}, "currentRevision")
    failed = until(platform, lambda status: phase(status) == "RolledBack")
    until(platform, lambda _: {p.revision for p in platform.life.pods} == {before})
    status = until(platform, lambda status: reason(status, "Progressing") == "GateFailed")
    assert text_at(status, "targetRevision") == text_at(status, "currentRevision") == before
    assert text_at(status, "phase") == "Degraded"
    assert reason(status, "Degraded") == "GateFailed"
    assert "Connects" in text_at(status, "message")
    assert dig(status, "canary", "revision") == dig(failed, "canary", "revision") != before
    assert len(objects_at(status, "revisionHistory")) == 1
    assert "newerDefaults" not in status
    told = [event.reason for event in platform.events]
    assert told.count("GateFailed") == 1
    assert "RollingBack" in told
    assert platform.life.removed_with_connections == 0
    platform.settle()


def test_a_rejected_spec_is_remembered_by_an_operator_that_starts_anew() -> None:
    """The status has all that its successor needs."""
    platform = replaced(canary_rollout())
    until(platform, lambda status: reason(status, "Progressing") == "GateFailed")
    platform.span = None
    names = {pod.name for pod in platform.life.pods}
    for _ in range(20):
        platform.reconcile()
    assert {pod.name for pod in platform.life.pods} == names


def test_a_rollback_ends_with_the_spec() -> None:
    """The former spec is no failure; a further one is tried."""
    platform = replaced(canary_rollout())
    until(platform, lambda status: reason(status, "Progressing") == "GateFailed")
    platform.change(server={})
    status = until(platform, lambda status: text_at(status, "phase") == "Ready")
    assert "canary" not in status
    platform.change(server={"limits": {"messagesPerSecond": 200}})
    until(platform, lambda status: phase(status) in {"Moving", "Holding"})


def test_what_the_failed_spec_would_remove_stays_after_a_rollback() -> None:
    """The servers still use the managed Redis that the failed spec replaces by another one."""
    platform = replaced(canary_rollout())
    platform.secrets["mine"] = {"url": "0" * 64}
    external: JsonObject = {"url": {"secretKeyRef": {"name": "mine", "key": "url"}}}
    platform.change(backplane={"redis": {"external": external}})
    before = {key for key in platform.objects if key.kind == "StatefulSet"}
    assert before
    until(platform, lambda status: reason(status, "Progressing") == "GateFailed")
    for _ in range(10):
        platform.reconcile()
    assert before <= set(platform.objects)


def test_a_pause_is_a_phase_with_a_reason_and_ends_when_resumed() -> None:
    """Resuming is a change of the spec that makes no revision."""
    platform = replaced(canary_rollout("Pause"))
    status = until(platform, lambda status: phase(status) == "Paused")
    assert text_at(status, "phase") == "Paused"
    assert reason(status, "Progressing") == "GateFailed"
    target = text_at(status, "targetRevision")
    platform.change(rollout=canary_rollout("Pause", resumedAt="2026-11-29T03:00:00Z"))
    status = until(platform, lambda status: phase(status) in {"Moving", "Holding"})
    assert text_at(status, "targetRevision") == target
    until(platform, lambda status: phase(status) == "Paused")


@pytest.mark.parametrize("by", ["spec", "operator"])
def test_a_paused_cluster_is_left_alone_in_a_canary(by: str) -> None:
    """Gates are not judged meanwhile; the hold begins anew, as nobody has watched it: not even its deadline ends it."""
    platform = replaced(canary_rollout(), refuses=False)
    before = until(platform, lambda status: phase(status) == "Holding")
    if by == "spec":
        platform.change(paused=True)
    else:
        platform.paused = "maintenance"
    for _ in range(30):
        platform.reconcile()
    assert phase(platform.status or {}) == "Holding"
    platform.life.now += 10_000
    if by == "spec":
        platform.change(paused=False)
    platform.paused = None
    platform.reconcile()
    platform.reconcile()
    assert phase(platform.status or {}) == "Holding"
    assert dig(platform.status or {}, "canary", "since") != dig(before, "canary", "since")
    until(platform, lambda status: dig(status, "currentRevision") == dig(status, "targetRevision"))


@pytest.mark.parametrize("by", ["spec", "operator"])
def test_a_pause_in_a_step_that_still_moves_is_no_lack_of_progress(by: str) -> None:
    """However long it lasts: nothing was to move meanwhile, so that no gate fails, during it or after it."""
    platform = replaced(canary_rollout(), refuses=False)
    until(platform, lambda status: phase(status) == "Moving")
    platform.reconcile()
    if by == "spec":
        platform.change(paused=True)
    else:
        platform.paused = "maintenance"
    for _ in range(3):
        platform.reconcile(tick=5_000)
        assert reason(platform.status or {}, "Degraded") != "ProgressDeadlineExceeded"
    if by == "spec":
        platform.change(paused=False)
    platform.paused = None
    done = until(platform, lambda status: dig(status, "currentRevision") == dig(status, "targetRevision"))
    assert "canary" not in done
    assert "GateFailed" not in [event.reason for event in platform.events]


def test_time_in_which_nobody_watches_a_step_is_no_lack_of_progress() -> None:
    """After an outage of the operator or the API server the step has its whole deadline to go on, and no more."""
    platform = replaced(canary_rollout(), refuses=False)
    live = platform.life.live

    def live_on(tick: float) -> None:
        live(tick)
        for pod in platform.life.pods:
            pod.starting = pod.revision != text_at(platform.status or {}, "currentRevision")

    platform.life.live = live_on  # type: ignore[method-assign] # new servers do not become ready
    until(platform, lambda status: phase(status) == "Moving")
    platform.reconcile()
    platform.span, platform.contact_for = None, 0.0
    platform.life.now += 10_000
    for _ in range(20):
        platform.reconcile()
        platform.contact_for += 1
    assert phase(platform.status or {}) == "Moving"
    platform.contact_for += 600
    platform.life.now += 600
    platform.reconcile()
    failed = platform.status or {}
    assert (phase(failed), dig(failed, "canary", "failedGate")) == ("RolledBack", "Readiness")


UPGRADED = PlannerSettings(BuildSettings("localhost/server:2", "localhost/redis:1"))
AGAIN = PlannerSettings(BuildSettings("localhost/server:3", "localhost/redis:1"))


def following(on_failure: str, *, refuses: bool = True) -> MemoryPlatform:
    """Return a cluster that follows the operator's defaults, whose operator was upgraded; new servers refuse clients.

    With `refuses` False they do well.
    """
    platform = replaced({**canary_rollout(on_failure), "operatorDefaults": "Follow"}, refuses=False)
    platform.settle()
    platform.settings = UPGRADED
    live = platform.life.live

    def live_on(tick: float) -> None:
        live(tick)
        for pod in platform.life.pods:
            pod.probe_code = "100" if refuses and pod.revision != before else ""

    before = text_at(platform.status or {}, "currentRevision")
    platform.life.live = live_on  # type: ignore[method-assign] # new pods get their behaviour
    return platform


def slot(status: JsonObject) -> str:
    """Return the state of the slot; empty without one."""
    return text_at(status, "rolloutSlot", "state")


def test_a_canary_keeps_the_slot_while_it_holds() -> None:
    """It is half of a rollout: another cluster begins none."""
    platform = following("Rollback", refuses=False)
    seen: set[tuple[str, str]] = set()
    for _ in range(200):
        platform.reconcile()
        seen.add((phase(platform.status or {}), slot(platform.status or {})))
    assert seen == {("", "Granted"), ("Moving", "Held"), ("Holding", "Held"), ("Passed", "Held"), ("", "")}
    assert text_at(platform.status or {}, "phase") == "Ready"


def test_a_rollback_of_a_default_frees_the_slot_and_waits_for_another_default() -> None:
    """The slot is held until the former servers serve again. The same default is not tried again, the next one is."""
    platform = following("Rollback")
    before = text_at(platform.status or {}, "currentRevision")
    back = until(platform, lambda status: phase(status) == "RolledBack")
    assert slot(back) == "Held"
    status = until(platform, lambda status: reason(status, "Progressing") == "GateFailed")
    for _ in range(50):
        platform.reconcile()
    assert slot(platform.status or {}) == ""
    assert {pod.revision for pod in platform.life.pods} == {before}
    assert "newerDefaults" not in (platform.status or {})
    assert upcoming(platform.cluster(), platform.objects, UPGRADED, platform.now()) is None
    platform.settings = AGAIN
    tried = until(platform, lambda status: phase(status) == "Moving")
    assert dig(tried, "canary", "revision") != dig(status, "canary", "revision")


def test_a_default_that_was_rolled_back_is_tried_again_when_it_is_resumed() -> None:
    """It waits for a window and a slot, as at first."""
    platform = following("Rollback")
    until(platform, lambda status: reason(status, "Progressing") == "GateFailed")
    platform.others = lambda: OtherClusters(holders=("team/other",))
    resumed = canary_rollout("Rollback", resumedAt="2026-11-29T03:00:00Z")
    platform.change(rollout={**resumed, "operatorDefaults": "Follow"})
    until(platform, lambda status: slot(status) == "WaitingForSlot")
    platform.others = OtherClusters
    until(platform, lambda status: phase(status) == "RolledBack")


def test_a_canary_that_is_paused_by_its_gates_frees_the_slot_until_it_is_resumed() -> None:
    """It waits for a person, which may take days."""
    platform = following("Pause")
    until(platform, lambda status: phase(status) == "Paused")
    assert slot(platform.status or {}) == "Released"
    resumed = canary_rollout("Pause", resumedAt="2026-11-29T03:00:00Z")
    platform.change(rollout={**resumed, "operatorDefaults": "Follow"})
    until(platform, lambda status: phase(status) == "Moving")
    assert slot(platform.status or {}) == "Held"


def test_an_upgrade_takes_the_place_of_a_default_that_is_paused() -> None:
    """The next release may have the correction: it is tried in steps of its own, against the revision that serves."""
    platform = following("Pause")
    before = text_at(until(platform, lambda status: phase(status) == "Paused"), "currentRevision")
    platform.settings = AGAIN
    status = until(platform, lambda status: phase(status) == "Moving")
    assert text_at(status, "currentRevision") == before
    until(platform, lambda status: phase(status) == "Paused")


@pytest.mark.parametrize("defaults", ["Keep", "Follow"])
def test_a_plan_of_what_was_rolled_back_replaces_nothing(defaults: str) -> None:
    """The spec as it is stays rejected; a change of it is planned as ever."""
    platform = replaced({**canary_rollout(), "operatorDefaults": defaults})
    until(platform, lambda status: reason(status, "Progressing") == "GateFailed")
    cluster, world = platform.cluster(), platform.world()
    same = forecast(cluster, cluster, world.servers, platform.settings, world.objects)
    assert (same.is_new_revision, same.steps) == (False, ())
    assert same.rolled_back == text_at(platform.status or {}, "canary", "revision")
    platform.change(server={"limits": {"messagesPerSecond": 300}})
    other = forecast(cluster, platform.cluster(), world.servers, platform.settings, world.objects)
    assert other.is_new_revision
    assert other.rolled_back is None
    assert len(other.steps) == 1
