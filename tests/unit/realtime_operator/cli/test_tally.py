"""Tests of the demonstration's account."""

from __future__ import annotations

from realtime_operator.cli.commands.probe import percentile
from realtime_operator.cli.tally import Tally


def test_everything_once_is_nothing_lost() -> None:
    tally = Tally(2, published=[1, 2, 3])
    for subscriber in (0, 1):
        for publication in (1, 2, 3):
            tally.receive(subscriber, publication)
    assert (tally.delivered, tally.lost, tally.duplicated) == (6, 0, 0)


def test_lost_and_duplicated_deliveries_are_counted() -> None:
    """Losses and duplicates are counted per subscriber; a third one got nothing."""
    tally = Tally(3, published=[1, 2])
    for publication in (1, 2):
        tally.receive(0, publication)
    tally.receive(1, 2)
    tally.receive(1, 2)
    assert (tally.delivered, tally.lost, tally.duplicated) == (4, 3, 1)


def test_the_largest_rate_is_that_of_any_second() -> None:
    """The rate is the largest of any second, not that of the whole time."""
    tally = Tally(1, reconnects=[0.0, 5.0, 5.4, 5.9, 9.0])
    assert tally.largest_reconnect_rate() == 3
    assert Tally(1).largest_reconnect_rate() == 0


def test_percentiles_are_values_that_were_measured() -> None:
    """Percentiles are by nearest rank."""
    assert percentile([], 0.5) is None
    assert [percentile([4, 1, 3, 2], part) for part in (0.0, 0.5, 0.9, 1.0)] == [1, 2, 4, 4]
