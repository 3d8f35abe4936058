"""Totals of servers, and what was counted between two of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_operator.planning.model.totals import CONNECT_SECONDS, CONNECTS, CONNECTS_FAILED, Totals, add, read_totals

DOCUMENT = {
    "since": 5.5,
    "connects": 3,
    "connects_failed": {"100": 2},
    "messages": 9,
    "commands_failed": {},
    "disconnects": {"3000": 1},
    "recoveries": 4,
    "recoveries_failed": 0,
    "connect_seconds": {"bounds": [0.1, 1.0], "counts": [1, 1, 1]},
    "delivery_seconds": {"bounds": [], "counts": []},
}


def test_a_report_is_read() -> None:
    """Counts have their labels, and histograms their bounds."""
    totals = read_totals(DOCUMENT)
    assert totals is not None
    assert totals.since == 5.5
    assert (totals.sum(CONNECTS), totals.sum(CONNECTS_FAILED)) == (3, 2)
    assert totals.by_label(CONNECT_SECONDS) == {"0.1": 1, "1.0": 1, "+Inf": 1}
    assert read_totals(None) is None


@pytest.mark.parametrize("changed", [{"connects": -1}, {"connects": "many"}, {"disconnects": 3}, {"since": None}])
def test_a_report_that_cannot_be_right_is_none(changed: dict[str, object]) -> None:
    """A count that is none, or below 0, is not taken for 0."""
    with pytest.raises((KeyError, TypeError, ValueError)):
        read_totals({**DOCUMENT, **changed})


def test_a_percentile_is_the_bound_of_its_bucket() -> None:
    """Durations above all bounds have no bound."""
    counts = {(CONNECT_SECONDS, "0.1"): 98, (CONNECT_SECONDS, "1.0"): 1, (CONNECT_SECONDS, "+Inf"): 1}
    totals = Totals(1.0, counts)
    assert totals.percentile(CONNECT_SECONDS, 0.5) == 0.1
    assert totals.percentile(CONNECT_SECONDS, 0.99) == 1.0
    assert totals.percentile(CONNECT_SECONDS, 1.0) == float("inf")
    assert Totals().percentile(CONNECT_SECONDS, 0.99) is None


@given(before=st.integers(0, 1000), after=st.integers(0, 1000), same=st.booleans())
def test_what_was_counted_in_between_is_never_negative(before: int, after: int, *, same: bool) -> None:
    """After a restart it is not known, and not taken for the count since the start."""
    first = Totals(1.0, {(CONNECTS, ""): before})
    second = Totals(1.0 if same else 2.0, {(CONNECTS, ""): after})
    counted = second.since_then(first).sum(CONNECTS)
    assert counted == (max(0, after - before) if same else 0)


def test_counts_are_added_up() -> None:
    first, second = (Totals(since, {(CONNECTS, ""): count}) for since, count in ((1.0, 2), (3.0, 4)))
    assert add([first, second]) == Totals(3.0, {(CONNECTS, ""): 6})
    assert add([]) == Totals()
