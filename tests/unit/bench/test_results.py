"""From measurements to ratios."""

from __future__ import annotations

from bench.results import Results, Spread, names, ratio, spread
from bench.scenarios import scenarios

from tests.unit.bench.results_kit import measured, scenario


def test_rounds_are_compared_within_themselves() -> None:
    """The second round was twice as slow for both: the ratio does not change by it."""
    found = scenario(
        "fan-out-1000",
        {"C floor": measured(300), "ws": measured(150)},
        {"C floor": measured(150), "ws": measured(75)},
        {"C floor": measured(300), "ws": measured(90)},
    )
    assert ratio(found, "ws") == Spread(0.5, 0.3, 0.5)
    assert ratio(found, "C floor") == Spread(1.0, 1.0, 1.0)


def test_the_ratio_is_by_cpu_time() -> None:
    """Who waits for the load generator loses nothing by it."""
    found = scenario("inbound", {"C floor": measured(100, 0.5), "ws": measured(100, 1.0)})
    assert ratio(found, "ws") == Spread(0.5, 0.5, 0.5)


def test_the_reference_may_be_of_another_scenario() -> None:
    """Connects with a token are compared with bare handshakes."""
    full = scenario("storm", {"C floor": measured(80), "ws": measured(25)})
    bare = scenario("storm-bare", {"C floor": measured(100), "ws": measured(50)})
    assert ratio(full, "ws", bare) == Spread(0.25, 0.25, 0.25)


def test_a_round_without_the_reference_does_not_count() -> None:
    """It has failed in it."""
    found = scenario("inbound", {"ws": measured(1)}, {"C floor": measured(10), "ws": measured(5)})
    assert ratio(found, "ws") == Spread(0.5, 0.5, 0.5)
    assert ratio(scenario("inbound", {"ws": measured(1)}), "ws") is None


def test_names_come_in_the_order_of_the_first_round() -> None:
    """And each once."""
    assert names(scenario("inbound", {"b": measured(1), "a": measured(1)}, {"a": measured(1), "c": measured(1)})) == [
        "b",
        "a",
        "c",
    ]


def test_there_is_no_spread_of_nothing() -> None:
    """What was not measured has no figures."""
    assert spread([]) is None
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)


def test_only_scenarios_with_results_are_kept() -> None:
    """A round may be missing before one that is there."""
    gathered = Results(scenarios(only=("inbound",)))
    gathered.add("inbound", 1, "ws", measured(7))
    (found,) = gathered.all()
    assert (found.key, found.rounds) == ("inbound", ({}, {"ws": measured(7)}))
