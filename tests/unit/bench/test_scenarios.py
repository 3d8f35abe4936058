"""What is measured."""

from __future__ import annotations

import pytest
from bench import peers
from bench.scenarios import keys, scenarios


def test_keys_are_unique_and_can_all_be_asked_for() -> None:
    """`cost` stands for all sizes."""
    found = [scenario.key for scenario in scenarios()]
    assert len(set(found)) == len(found)
    for key in keys():
        assert scenarios(only=(key,))


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        ("inbound", ["inbound", "inbound-16"]),
        ("storm-bare", ["storm-bare"]),
        ("cost", ["cost-10", "cost-100", "cost-1000", "cost-5000", "cost-10000"]),
        ("fan", ["fan-out-1000", "fan-out-1000-16", "fan-out-10000", "fan-out-joined"]),
    ],
)
def test_the_beginning_of_a_key_asks_for_all_of_them(only: str, expected: list[str]) -> None:
    """Up to a dash: `fan-out-1000` does not ask for `fan-out-10000`."""
    assert [scenario.key for scenario in scenarios(only=(only,))] == expected
    assert "fan-out-10000" not in [scenario.key for scenario in scenarios(only=("fan-out-1000",))]


def test_every_scenario_has_its_reference() -> None:
    """Without it there is no ratio."""
    for scenario in scenarios():
        assert scenario.reference in scenario.peers
        assert all(name.partition(",")[0] in peers.NAMES for name in scenario.peers)


def test_quick_ones_are_small() -> None:
    """A tenth of the clients, once."""
    for small, whole in zip(scenarios(quick=True), scenarios(), strict=True):
        assert small.rounds == 1
        assert small.load.seconds < 1
        assert small.load.clients == whole.load.clients // 10 or whole.load.scenario == "inbound"
