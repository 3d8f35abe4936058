"""Results of a run, as stored in `raw/` and read by the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from msgspec import Struct

from bench.measured import Measured
from bench.scenarios import Kind, Scenario

SATURATED = 0.95
"""Busy part of the load generator above which it may have limited the server."""


class ScenarioResults(Struct, frozen=True):
    """Results of one scenario; `rounds` has the measurement of each server by name, for each round."""

    key: str
    title: str
    kind: Kind
    counted: str
    reference: str
    clients: int
    explanation: str
    rounds: tuple[dict[str, Measured], ...]


class Run(Struct, frozen=True):
    """Input of a report. `day` is YYYY-MM-DD."""

    day: str
    machine: str
    versions: dict[str, str]
    notices: tuple[str, ...]
    failures: tuple[str, ...]
    rounds: int
    quick: bool
    scenarios: tuple[ScenarioResults, ...]

    def scenario(self, key: str) -> ScenarioResults | None:
        """Return the results of a scenario, None when it was not measured."""
        return next((one for one in self.scenarios if one.key == key), None)


class Results:
    """Collector of measurements."""

    def __init__(self, scenarios: Sequence[Scenario]) -> None:
        self._scenarios = scenarios
        self._rounds: dict[str, list[dict[str, Measured]]] = {scenario.key: [] for scenario in scenarios}

    def add(self, key: str, number: int, peer: str, measured: Measured) -> None:
        """Add a measurement of the round `number`, from 0."""
        rounds = self._rounds[key]
        while len(rounds) <= number:
            rounds.append({})
        rounds[number][peer] = measured

    def all(self) -> list[ScenarioResults]:
        """Return the scenarios with measurements."""
        return [
            ScenarioResults(
                key=scenario.key,
                title=scenario.title,
                kind=scenario.kind,
                counted=scenario.counted,
                reference=scenario.reference,
                clients=scenario.load.clients,
                explanation=scenario.explanation,
                rounds=tuple(self._rounds[scenario.key]),
            )
            for scenario in self._scenarios
            if any(self._rounds[scenario.key])
        ]


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, lowest and highest value of several rounds."""

    middle: float
    lowest: float
    highest: float


def spread(values: Sequence[float]) -> Spread | None:
    """Return the spread of the values; None without values."""
    return Spread(median(values), min(values), max(values)) if values else None


def names(scenario: ScenarioResults) -> list[str]:
    """Return the measured servers, in the order of their first appearance."""
    return list(dict.fromkeys(name for measured in scenario.rounds for name in measured))


def of(scenario: ScenarioResults, peer: str) -> list[Measured]:
    """Return the measurements of one server, round by round."""
    return [measured[peer] for measured in scenario.rounds if peer in measured]


def beside(scenario: ScenarioResults, peer: str, other: str) -> Spread | None:
    """Return the work per CPU-second of one server relative to another, within each round."""
    return spread(
        [
            measured[peer].per_cpu_second / measured[other].per_cpu_second
            for measured in scenario.rounds
            if peer in measured and other in measured
        ]
    )


def ratio(scenario: ScenarioResults, peer: str, reference: ScenarioResults | None = None) -> Spread | None:
    """Return the work per CPU-second relative to the reference, within each round, so that slow moments cancel out.

    `reference` is the scenario of the reference's work, if it is another one.
    """
    others = (reference or scenario).rounds
    values = []
    for mine, theirs in zip(scenario.rounds, others, strict=False):
        base = theirs.get((reference or scenario).reference)
        if peer in mine and base is not None:
            values.append(mine[peer].per_cpu_second / base.per_cpu_second)
    return spread(values)
