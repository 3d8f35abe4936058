"""Results as a run finds them, for the tests of what is made of them."""

from __future__ import annotations

from bench.measured import Latency, Measured
from bench.results import Run, ScenarioResults
from bench.scenarios import Kind


def measured(count: int, server_cpu: float = 1.0, *, load_cpu: float = 0.5, wall: float = 1.0) -> Measured:
    """A measurement, of one second when nothing else is said."""
    return Measured(count, wall=wall, server_cpu=server_cpu, load_cpu=load_cpu)


def late(p50: float, p99: float) -> Measured:
    """A measurement of latency, in microseconds."""
    return Measured(1000, wall=1.0, server_cpu=0.5, load_cpu=0.5, latency=Latency(p50, p99, p99 * 2, 1000))


def scenario(
    key: str, *rounds: dict[str, Measured], kind: Kind = "throughput", clients: int = 1000, reference: str = "C floor"
) -> ScenarioResults:
    """What a scenario has found."""
    return ScenarioResults(
        key=key,
        title=f"Title of {key}",
        kind=kind,
        counted="deliveries",
        reference="C floor, 1 ms" if key == "fan-out-joined" else reference,
        clients=clients,
        explanation="Why.",
        rounds=rounds,
    )


def run_of(*scenarios: ScenarioResults, failures: tuple[str, ...] = (), quick: bool = False) -> Run:
    """A run of these scenarios."""
    return Run(
        day="2026-01-02",
        machine="a machine",
        versions={"C floor": "of this repository", "ws": "8"},
        notices=("Centrifuge is left out: Go is not installed",),
        failures=failures,
        rounds=3,
        quick=quick,
        scenarios=scenarios,
    )
