"""Which goals are reached."""

from __future__ import annotations

import pytest
from bench.goals import Verdict, verdicts
from bench.measured import Measured
from bench.results import Run

from tests.unit.bench.results_kit import late, measured, run_of, scenario


def verdict_of(run: Run, beginning: str) -> Verdict:
    """The verdict whose title begins so."""
    (found,) = [one for one in verdicts(run) if one.scenario.startswith(beginning)]
    return found


@pytest.mark.parametrize(("ours", "met"), [(80, True), (79, False)])
def test_a_ratio_that_is_just_reached_is_reached(ours: int, met: bool) -> None:
    """0.80 of the floor."""
    run = run_of(scenario("fan-out-1000", {"C floor": measured(100), "realtime-server": measured(ours)}))
    assert verdict_of(run, "Fan-out to 1,000, nothing joined").met is met


def test_connects_are_compared_with_bare_handshakes() -> None:
    """Of the floor: 60 of 100, not of 70."""
    run = run_of(
        scenario("storm-bare", {"C floor": measured(100)}),
        scenario("storm", {"C floor": measured(70), "realtime-server": measured(59)}),
    )
    found = verdict_of(run, "Connect with token")
    assert (found.reached, found.met) == ("0.59 (0.59 to 0.59)", False)


@pytest.mark.parametrize(
    ("deliveries", "floor", "met"), [(11_000_000, 90_000_000, True), (3, 4, True), (2_000_000, 4_000_000, False)]
)
def test_joined_writes_have_two_ways_to_the_goal(deliveries: int, floor: int, met: bool) -> None:
    """10 million a second, or 0.75 of the floor."""
    run = run_of(
        scenario("fan-out-joined", {"C floor, 1 ms": measured(floor), "realtime-server, 1 ms": measured(deliveries)})
    )
    assert verdict_of(run, "Fan-out to 1,000, writes joined").met is met


@pytest.mark.parametrize(("memory", "met"), [(4096, True), (4097, False)])
def test_memory_is_at_most_4_kilobytes(memory: int, met: bool) -> None:
    """For each connection."""
    run = run_of(scenario("memory", {"realtime-server": Measured(1, memory=memory)}, kind="memory"))
    assert verdict_of(run, "Memory").met is met


def test_the_better_setting_counts_for_latency() -> None:
    """Both are shown."""
    run = run_of(
        scenario(
            "latency",
            {"realtime-server": late(5_000, 12_000), "realtime-server, 1 ms": late(4_000, 9_000)},
            kind="latency",
        )
    )
    found = verdict_of(run, "p99")
    assert (found.reached, found.met) == ("12.0 ms (realtime-server), 9.0 ms (realtime-server, 1 ms)", True)


def test_what_was_not_measured_has_no_verdict() -> None:
    """It is neither reached nor missed."""
    assert {(one.reached, one.met) for one in verdicts(run_of())} == {("not measured", None)}
    without_ours = run_of(*(scenario(key, {"C floor": measured(1)}) for key in ("memory", "latency", "inbound")))
    assert {one.met for one in verdicts(without_ours)} == {None}
