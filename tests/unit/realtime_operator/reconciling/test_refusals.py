"""Tests of the retries of refused actions."""

from __future__ import annotations

from realtime_operator.api.base import JsonObject
from realtime_operator.planning.model.plan import CreateObject, Failure, FailureKind, ScaleRevision
from realtime_operator.planning.model.world import ObjectKey
from realtime_operator.reconciling.refusals import RETRY_SECONDS, Refusals

ACCOUNT = CreateObject({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "main"}})
NEEDS_IT = CreateObject(
    {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "main-a"}},
    (ObjectKey("v1", "ServiceAccount", "main"),),
)
OTHER = ScaleRevision("main-b", "uid-b", 1)
ALL = (ACCOUNT, NEEDS_IT, OTHER)


def refused(action: CreateObject) -> Failure:
    """Return the refusal of an action."""
    return Failure(action, FailureKind.REFUSED, "no")


def test_only_what_was_refused_waits_with_what_needs_it() -> None:
    """Both are still reported."""
    refusals = Refusals()
    tried, waiting = refusals.split(ALL, 0.0)
    assert (tried, waiting) == (ALL, ())
    refusals.note(ALL, tried, (refused(ACCOUNT), Failure(NEEDS_IT, FailureKind.SKIPPED, "")), 0.0)
    tried, waiting = refusals.split(ALL, 0.5)
    assert tried == (OTHER,)
    assert [failure.kind for failure in waiting] == [FailureKind.REFUSED, FailureKind.SKIPPED]
    assert refusals.seconds_until_retry(0.5) == 0.5


def test_the_pause_doubles_up_to_a_bound() -> None:
    """Retries of other actions do not change the pause."""
    refusals, now, pauses = Refusals(), 0.0, []
    for _ in range(8):
        tried, _ = refusals.split(ALL, now)
        refusals.note(ALL, tried, (refused(ACCOUNT),), now)
        pause = refusals.seconds_until_retry(now)
        assert pause is not None
        between, _ = refusals.split(ALL, now + pause / 2)
        refusals.note(ALL, between, (), now + pause / 2)
        pauses.append(pause)
        now += pause
    assert pauses == [1, 2, 4, 8, 16, 30, 30, RETRY_SECONDS[1]]


def test_another_manifest_is_tried_at_once() -> None:
    refusals = Refusals()
    refusals.note(ALL, ALL, (refused(ACCOUNT),), 0.0)
    manifest: JsonObject = {**ACCOUNT.manifest, "automountServiceAccountToken": False}
    changed = CreateObject(manifest)
    assert refusals.split((changed,), 0.1) == ((changed,), ())


def test_what_went_well_or_is_no_longer_planned_is_forgotten() -> None:
    """A later refusal starts with the first pause."""
    refusals = Refusals()
    refusals.note(ALL, ALL, (refused(ACCOUNT),), 0.0)
    refusals.note((OTHER,), (OTHER,), (), 0.1)
    assert refusals.seconds_until_retry(0.1) is None
    assert refusals.split(ALL, 0.2) == (ALL, ())
