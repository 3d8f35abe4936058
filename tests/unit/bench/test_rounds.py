"""The order of a run, and what is done when a server fails."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from bench import rounds
from bench.generator import Generator, Load, LoadError, Target
from bench.measured import Measured
from bench.peers import Peer
from bench.rounds import Progress, Step, by_peer, plan
from bench.scenarios import Scenario

SCENARIOS = [
    Scenario("one", "One", "throughput", "deliveries", Load("fan-out", 100), ("a", "b", "c"), "a"),
    Scenario("two", "Two", "throughput", "deliveries", Load("storm", 100), ("a", "absent"), "a", rounds=1),
]


class ScriptedGenerator(Generator):
    """Measures the port that it was given; 13 is bad luck."""

    async def run(self, load: Load, target: Target) -> Measured:
        """One measurement."""
        if target.port == 13:
            raise LoadError("the server closes client 0 with code 1006")
        return Measured(count=target.port, wall=1.0, server_cpu=1.0, load_cpu=load.clients)


class Starts:
    """Peers that count how often they are started."""

    def __init__(self, ports: dict[str, int]) -> None:
        self.started: list[str] = []
        self.peers = {name: Peer(name, partial(self._start, name, port)) for name, port in ports.items()}

    @contextlib.asynccontextmanager
    async def _start(self, name: str, port: int) -> AsyncIterator[Target]:
        self.started.append(name)
        yield Target(port, port, ())


def described(steps: list[Step]) -> list[str]:
    """Steps in short."""
    return [f"{step.round}{step.scenario.key}{step.peer.name}" for step in steps]


def test_the_order_moves_on_by_one_in_every_round() -> None:
    """Rounds follow each other; peers that are not there and rounds that are too many are left out."""
    steps = plan(SCENARIOS, Starts({"a": 1, "b": 2, "c": 3}).peers, 3)
    assert described(steps) == [
        "0onea",
        "0oneb",
        "0onec",
        "0twoa",
        "1oneb",
        "1onec",
        "1onea",
        "2onec",
        "2onea",
        "2oneb",
    ]


def test_those_of_one_server_can_be_put_together() -> None:
    """For a quick run."""
    groups = by_peer(plan(SCENARIOS, Starts({"a": 1, "b": 2}).peers, 1))
    assert [described(group) for group in groups] == [["0onea", "0twoa"], ["0oneb"]]


@pytest.mark.parametrize(("fresh", "started"), [(True, ["a", "b", "a", "b", "a"]), (False, ["a", "b"])])
async def test_servers_are_started_anew_for_every_measurement(fresh: bool, started: list[str]) -> None:
    """Unless it must be quick; the results are the same."""
    starts = Starts({"a": 1, "b": 2})
    generator = ScriptedGenerator(Path("load"), Path("tokens"))
    found, failures = await rounds.measure(SCENARIOS, starts.peers, 2, generator, fresh=fresh)
    assert (sorted(starts.started), failures) == (sorted(started), [])
    assert [[{name: one.count for name, one in each.items()} for each in results.rounds] for results in found] == [
        [{"a": 1, "b": 2}, {"b": 2, "a": 1}],
        [{"a": 1}],
    ]


async def test_a_server_that_fails_does_not_end_the_run() -> None:
    """What failed is told, with the round."""
    generator = ScriptedGenerator(Path("load"), Path("tokens"))
    found, failures = await rounds.measure(SCENARIOS[:1], Starts({"a": 1, "b": 13}).peers, 1, generator)
    assert failures == ["one, round 1: b: the server closes client 0 with code 1006"]
    assert list(found[0].rounds[0]) == ["a"]


def test_the_remaining_time_follows_the_pace_so_far(capsys: pytest.CaptureFixture[str]) -> None:
    """Half of the work took 100 s: so will the rest."""
    now = 1000.0
    steps = plan(SCENARIOS[:1], Starts({"a": 1, "b": 2}).peers, 1)
    progress = Progress(steps, clock=lambda: now)
    now += 100
    progress.done(steps[0], "5 deliveries")
    assert progress.remaining() == pytest.approx(100)
    assert capsys.readouterr().err == "[1:40 left] round 1 one: a: 5 deliveries\n"
