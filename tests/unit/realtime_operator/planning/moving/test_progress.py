"""Tests of the progress of a change and its deadline."""

from __future__ import annotations

from datetime import timedelta

from realtime_operator.planning.moving.progress import Progress, next_progress
from tests.unit.realtime_operator.planning.moving.test_rollout import DRAIN, NOW, fleet, quiesced, server


def test_a_settled_fleet_makes_no_progress_and_is_never_late() -> None:
    found = fleet(server("a", "new"), server("b", "new"), new=2)
    progress = next_progress(found, (), DRAIN, 600, Progress("older", NOW - timedelta(hours=9)), NOW)
    assert progress == Progress()
    assert not progress.is_overdue(NOW + timedelta(days=9))


def test_the_deadline_counts_from_the_last_step() -> None:
    """A further available server is a step; the same number is not."""
    waiting = fleet(server("a", "new"), server("b", "new", ready=False), desired=3, new=3)
    first = next_progress(waiting, (), DRAIN, 600, Progress(), NOW)
    later = NOW + timedelta(seconds=601)
    same = next_progress(waiting, (), DRAIN, 600, first, later)
    assert same.at == NOW
    assert same.is_overdue(later)
    more = fleet(server("a", "new"), server("b", "new"), desired=3, new=3)
    stepped = next_progress(more, (), DRAIN, 600, first, later)
    assert stepped.is_overdue(later) is False


def test_a_drain_has_its_own_time_on_top() -> None:
    """The settle time and the timeout of the drain are added."""
    leaving = quiesced("b", 9, 5)
    found = fleet(server("a", "new"), leaving, old=1, new=1)
    progress = next_progress(found, (leaving,), DRAIN, 600, Progress(), NOW)
    assert progress.deadline_seconds == 600 + DRAIN.settle_seconds + DRAIN.timeout_seconds
