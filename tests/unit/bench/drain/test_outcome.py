"""Tests of what a replacement costs its clients."""

from __future__ import annotations

from dataclasses import replace

import pytest
from bench.drain.outcome import AT_ONCE, OURS, SINGLE, Outcome, judge, moved

from tests.kit.clients import Connected, Connecting, Subscribed


def outcome(name: str, reconnects: tuple[float, ...] = (), gaps: tuple[float, ...] = ()) -> Outcome:
    """Return an outcome without losses."""
    return Outcome(name, len(reconnects), reconnects, gaps, 1.0, 10, 0, 0, 0)


def subscribed(client: int, at: float, *, recovered: bool = True) -> Subscribed:
    """Return a subscribe that asked for recovery."""
    return Subscribed(client, at, "chat:all", was_recovering=True, recovered=recovered, offset=1, epoch="e")


def test_a_gap_lasts_until_the_client_is_subscribed_again() -> None:
    """The first connect is no reconnect; a second close before the subscribe belongs to the same gap."""
    found = moved(
        [
            Connecting(0, 1.0, 0, "connect called"),
            Connected(0, 1.1, "a"),
            subscribed(0, 1.2),
            Connecting(0, 10.0, 3011, "force reconnect"),
            Connected(0, 10.5, "b"),
            Connecting(0, 10.6, 3011, "force reconnect"),
            Connected(0, 11.5, "c"),
            subscribed(0, 12.0, recovered=False),
        ]
    )
    assert found.closes == (10.0, 10.6)
    assert found.reconnects == pytest.approx((0.5, 1.5))
    assert found.gaps == (2.0,)
    assert found.unrecovered == 1


def test_peak_duration_and_gaps() -> None:
    found = outcome(OURS, (0.1, 0.2, 1.5, 4.0), (0.5, 0.6, 0.7, 3.0))
    assert (found.peak, found.duration) == (2.0, 4.0)
    assert (found.gap(0.5), found.gap(0.99)) == (0.6, 3.0)
    assert found.per_second() == [(0.0, 2.0), (1.0, 1.0), (2.0, 0.0), (3.0, 0.0), (4.0, 1.0), (5.0, 0.0)]
    assert outcome(OURS).gap(0.99) == 0.0


def test_every_goal_can_be_missed() -> None:
    single = outcome(SINGLE, (0.5,), (1.0,))
    storm = outcome(AT_ONCE, tuple(0.01 * number for number in range(40)), (2.0,))
    good = outcome(OURS, (0.0, 1.5, 3.0, 4.5), (1.9,))
    assert [found.met for found in judge([single, storm, good], 4, 1.0)] == [True] * 4
    bad = replace(outcome(OURS, (0.0, 0.1, 0.2, 0.3, 0.4, 5.0), (2.0,)), lost=1)
    assert [found.met for found in judge([single, storm, bad], 4, 1.0)] == [False] * 4
