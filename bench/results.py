"""What a run has found, as it is written to `raw/` and as the report reads it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from msgspec import Struct

from bench.measured import Measured
from bench.scenarios import Kind, Scenario

SATURATED = 0.95
"""A load generator that is busy for more than this part of the time may have held the server up."""


class ScenarioResults(Struct, frozen=True):
    """One scenario; `rounds` has for each round what each server did, by its name."""

    key: str
    title: str
    kind: Kind
    counted: str
    reference: str
    clients: int
    explanation: str
    rounds: tuple[dict[str, Measured], ...]


class Run(Struct, frozen=True):
    """Everything that a report needs. `day` is YYYY-MM-DD."""

    day: str
    machine: str
    versions: dict[str, str]
    notices: tuple[str, ...]
    failures: tuple[str, ...]
    rounds: int
    quick: bool
    scenarios: tuple[ScenarioResults, ...]

    def scenario(self, key: str) -> ScenarioResults | None:
        """The one with this key, if it was measured."""
        return next((one for one in self.scenarios if one.key == key), None)


class Results:
    """Gathers measurements."""

    def __init__(self, scenarios: Sequence[Scenario]) -> None:
        self._scenarios = scenarios
        self._rounds: dict[str, list[dict[str, Measured]]] = {scenario.key: [] for scenario in scenarios}

    def add(self, key: str, number: int, peer: str, measured: Measured) -> None:
        """A measurement of the round `number`, from 0."""
        rounds = self._rounds[key]
        while len(rounds) <= number:
            rounds.append({})
        rounds[number][peer] = measured

    def all(self) -> list[ScenarioResults]:
        """Those in which something was measured."""
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
    """Median, lowest and highest of several rounds."""

    middle: float
    lowest: float
    highest: float


def spread(values: Sequence[float]) -> Spread | None:
    """None when there are no values."""
    return Spread(median(values), min(values), max(values)) if values else None


def names(scenario: ScenarioResults) -> list[str]:
    """All servers that were measured, in the order in which they came first."""
    return list(dict.fromkeys(name for measured in scenario.rounds for name in measured))


def of(scenario: ScenarioResults, peer: str) -> list[Measured]:
    """What one server did, round by round."""
    return [measured[peer] for measured in scenario.rounds if peer in measured]


def ratio(scenario: ScenarioResults, peer: str, reference: ScenarioResults | None = None) -> Spread | None:
    """Work per CPU-second as a ratio to the reference, each round within itself: a slow moment cancels out.

    `reference` is the scenario that the reference's work is taken from, when it is another.
    """
    others = (reference or scenario).rounds
    values = []
    for mine, theirs in zip(scenario.rounds, others, strict=False):
        base = theirs.get((reference or scenario).reference)
        if peer in mine and base is not None:
            values.append(mine[peer].per_cpu_second / base.per_cpu_second)
    return spread(values)
