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


@pytest.mark.parametrize(("ours", "met"), [(200, True), (199, False)])
def test_socket_io_is_compared_with_the_reference_server(ours: int, met: bool) -> None:
    """By each transport."""
    for key, peer, other in (
        ("socket-io", "realtime-server, Socket.IO", "Socket.IO"),
        ("socket-io-polling", "realtime-server, polling", "Socket.IO, polling"),
    ):
        run = run_of(scenario(key, {peer: measured(ours), other: measured(100)}, reference=other))
        beginning = "Fan-out to 1,000 clients of Socket.IO by " + ("long" if "polling" in key else "WebSocket")
        assert verdict_of(run, beginning).met is met


@pytest.mark.parametrize(("bare", "met"), [(95, True), (94, False)])
def test_both_forms_of_a_route_have_to_be_fast(bare: int, met: bool) -> None:
    """Within 5% of Centrifugo's protocol."""
    found = {"realtime-server": 100, "realtime-server, envelope": 99, "realtime-server, bare": bare}
    rounds = {name: measured(count) for name, count in found.items()}
    verdict = verdict_of(run_of(scenario("plain", rounds, reference="realtime-server")), "Fan-out to 1,000 WebSockets")
    assert verdict.met is met
    assert verdict.reached == f"0.99 (0.99 to 0.99) (envelope), 0.{bare} (0.{bare} to 0.{bare}) (bare)"
    del rounds["realtime-server, envelope"]
    run = run_of(scenario("plain", rounds, reference="realtime-server"))
    assert verdict_of(run, "Fan-out to 1,000 WebSockets").met is None


def test_what_was_not_measured_has_no_verdict() -> None:
    """It is neither reached nor missed."""
    assert {(one.reached, one.met) for one in verdicts(run_of())} == {("not measured", None)}
    without_ours = run_of(*(scenario(key, {"C floor": measured(1)}) for key in ("memory", "latency", "inbound")))
    assert {one.met for one in verdicts(without_ours)} == {None}
