"""The order of a run: all scenarios in every round, all servers in every scenario, each freshly started."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.generator import Generator, LoadError
from bench.measured import Measured
from bench.peers import Peer
from bench.results import Results, ScenarioResults
from bench.scenarios import Scenario


@dataclass(frozen=True, slots=True)
class Step:
    """One measurement of a plan."""

    round: int
    scenario: Scenario
    peer: Peer

    @property
    def weight(self) -> float:
        """Approximate seconds for start, connections, measurement and end."""
        load = self.scenario.load
        idle = 4.0 if load.scenario == "idle" else load.seconds + load.warm_up
        return 1.0 + (load.clients + load.warm_clients) / 4000 + (0 if load.scenario == "storm" else idle)


def plan(scenarios: Sequence[Scenario], peers: dict[str, Peer], rounds: int) -> list[Step]:
    """Return all measurements, round by round, so that a slow moment of the machine affects all scenarios.

    The order of the servers rotates by one in each round, so that none always follows the same one.
    """
    steps = []
    for number in range(rounds):
        for scenario in scenarios:
            if number < scenario.rounds:
                there = [peers[name] for name in scenario.peers if name in peers]
                shift = number % len(there) if there else 0
                steps += [Step(number, scenario, peer) for peer in there[shift:] + there[:shift]]
    return steps


class Progress:
    """Prints finished measurements and the remaining time to standard error."""

    def __init__(self, steps: Sequence[Step], clock: Callable[[], float] = time.monotonic) -> None:
        self._left = self._all = sum(step.weight for step in steps)
        self._clock = clock
        self._began = clock()

    def remaining(self) -> float:
        """Return the remaining seconds, estimated from the finished measurements."""
        done = self._all - self._left
        pace = (self._clock() - self._began) / done if done > 0 else 1.0
        return self._left * pace

    def done(self, step: Step, outcome: str) -> None:
        """Report a finished measurement."""
        self._left = max(0.0, self._left - step.weight)  # sums of floats end a little off zero
        left = self.remaining()
        clock = f"{int(left // 60)}:{int(left % 60):02} left"
        print(
            f"[{clock}] round {step.round + 1} {step.scenario.key}: {step.peer.name}: {outcome}",
            file=sys.stderr,
            flush=True,
        )


async def measure(
    scenarios: Sequence[Scenario], peers: dict[str, Peer], rounds: int, generator: Generator, *, fresh: bool = True
) -> tuple[list[ScenarioResults], list[str]]:
    """Carry out the plan; return the measurements and the failures, which do not end the run.

    Without `fresh` a server is started once for all of its measurements: quick, but earlier ones affect later ones.
    """
    steps = plan(scenarios, peers, rounds)
    results, failures = Results(scenarios), []
    progress = Progress(steps)
    for group in [[step] for step in steps] if fresh else by_peer(steps):
        left = list(group)
        try:
            async with group[0].peer.start() as target:
                for step in group:
                    measured = await generator.run(step.scenario.load, target)
                    results.add(step.scenario.key, step.round, step.peer.name, measured)
                    progress.done(step, outcome(step.scenario, measured))
                    left.remove(step)
        except (LoadError, AssertionError, RuntimeError, OSError) as error:
            what = str(error).strip()
            failures += [f"{one.scenario.key}, round {one.round + 1}: {one.peer.name}: {what}" for one in left]
            for one in left:
                progress.done(one, f"FAILED: {what}")
    return results.all(), failures


def by_peer(steps: Sequence[Step]) -> list[list[Step]]:
    """Group the measurements by server."""
    groups: dict[str, list[Step]] = {}
    for step in steps:
        groups.setdefault(step.peer.name, []).append(step)
    return list(groups.values())


def outcome(scenario: Scenario, measured: Measured) -> str:
    """Describe a measurement in a few words."""
    if scenario.kind == "memory":
        return f"{measured.bytes_per_connection:,.0f} bytes per connection"
    if scenario.kind == "latency" and measured.latency is not None:
        return f"p50 {measured.latency.p50 / 1000:.2f} ms, p99 {measured.latency.p99 / 1000:.2f} ms"
    return f"{measured.per_cpu_second:,.0f} {scenario.counted} per CPU-second"
