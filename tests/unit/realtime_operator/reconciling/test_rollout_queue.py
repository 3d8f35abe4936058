"""Tests of the queue of rollouts of one operator; all orders of events are in planning/test_rollout_slots.py."""

from __future__ import annotations

from datetime import UTC, datetime

from realtime_operator.api.base import JsonObject
from realtime_operator.planning.scheduling.slots import NO_ROLLOUT, Request, Slot, SlotState, Turn
from realtime_operator.platforms.base import Key
from realtime_operator.reconciling.rollout_queue import RolloutQueue

A, B = Key("team", "a"), Key("team", "b")
NOW = datetime(2026, 11, 29, tzinfo=UTC)
GRANTED = Turn(slot=Slot(SlotState.GRANTED, "new", NOW), request=Request("team/a"))
WAITING = Turn(slot=Slot(SlotState.WAITING_FOR_SLOT, "new", NOW), request=Request("team/a"))


def stored(key: Key) -> tuple[JsonObject, list[JsonObject]]:
    """Return a stored cluster at rest."""
    return {"metadata": {"namespace": key.namespace, "name": key.name}, "status": {"targetRevision": "old"}}, []


def queue() -> RolloutQueue:
    """Return the queue of two clusters."""
    return RolloutQueue(lambda: [stored(A), stored(B)])


def test_a_grant_counts_before_it_is_stored() -> None:
    """Two decisions that are made before either is written take different slots."""
    found = queue()
    found.note(A, GRANTED)
    assert found.others(B).holders == ("team/a",)
    assert found.others(A).holders == ()
    found.stored(A)
    assert found.others(B).holders == ()


def test_a_grant_whose_write_failed_may_have_been_stored() -> None:
    """It counts until the next decision about the cluster."""
    found = queue()
    found.note(A, GRANTED)
    found.reconciled(A, failed=True)
    assert found.others(B).holders == ("team/a",)
    found.note(A, NO_ROLLOUT)
    assert found.others(B).holders == ()


def test_a_cluster_that_cannot_be_reconciled_keeps_nobody_waiting() -> None:
    """Its request is forgotten until it asks again."""
    found = queue()
    found.note(A, WAITING)
    assert [request.cluster for request in found.others(B).requests] == ["team/a"]
    assert found.others(A).requests == ()
    found.reconciled(A, failed=True)
    assert found.others(B).requests == ()


def test_the_order_is_known_when_every_cluster_was_reconciled() -> None:
    """Also one that fails; a cluster that is gone counts no more."""
    found = queue()
    assert not found.others(A).complete
    found.reconciled(B, failed=True)
    assert found.others(A).complete
    found.note(B, GRANTED)
    found.forget(B)
    assert not found.others(A).complete
    assert found.others(A).holders == ()
