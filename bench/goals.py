"""Goals of the benchmarks, and their verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.peers import OURS, OURS_BARE, OURS_ENVELOPE, OURS_JOINED, OURS_POLLING, OURS_SOCKET_IO
from bench.results import Run, Spread, of, ratio, spread

JOINED_DELIVERIES = 10_000_000
BYTES_PER_CONNECTION = 4096
P99_MILLISECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line of the table of goals; `met` is None when it was not measured."""

    scenario: str
    goal: str
    reached: str
    met: bool | None


def verdicts(run: Run) -> list[Verdict]:
    """Return the verdicts of all goals, in the order of the scenarios."""
    return [judge(run) for judge in _GOALS]


def _not_measured(scenario: str, goal: str) -> Verdict:
    return Verdict(scenario, goal, "not measured", None)


def _ratio_goal(title: str, key: str, wanted: float, *, against: str | None = None) -> Callable[[Run], Verdict]:
    """Return a goal of at least `wanted` times the floor; `against`: the floor in another scenario."""
    goal = f"{wanted:.2f} of the floor or more"

    def judge(run: Run) -> Verdict:
        scenario, reference = run.scenario(key), run.scenario(against or key)
        found = None if scenario is None or reference is None else ratio(scenario, OURS, reference)
        if found is None:
            return _not_measured(title, goal)
        return Verdict(title, goal, _text(found), found.middle >= wanted)

    return judge


def _beside(title: str, key: str, wanted: float, reference: str, *peers: str) -> Callable[[Run], Verdict]:
    """Return a goal of at least `wanted` times the reference of a scenario, which each of the `peers` has to reach."""
    goal = f"{wanted:.2f} of {reference} or more"

    def judge(run: Run) -> Verdict:
        scenario = run.scenario(key)
        found = [None if scenario is None else ratio(scenario, peer) for peer in peers]
        reached = {peer: one for peer, one in zip(peers, found, strict=True) if one is not None}
        if len(reached) < len(peers):
            return _not_measured(title, goal)
        text = ", ".join(
            _text(one) if len(peers) == 1 else f"{_text(one)} ({peer.partition(', ')[2]})"
            for peer, one in reached.items()
        )
        return Verdict(title, goal, text, all(one.middle >= wanted for one in reached.values()))

    return judge


def _joined(run: Run) -> Verdict:
    title = "Fan-out to 1,000, writes joined for 1 ms"
    goal = f"{JOINED_DELIVERIES / 1e6:.0f} million deliveries per second, or 0.75 of the floor"
    scenario = run.scenario("fan-out-joined")
    found = None if scenario is None else ratio(scenario, OURS_JOINED)
    if scenario is None or found is None:
        return _not_measured(title, goal)
    rate = spread([one.per_second for one in of(scenario, OURS_JOINED)])
    assert rate is not None
    reached = f"{rate.middle / 1e6:.1f} million per second, {_text(found)}"
    return Verdict(title, goal, reached, rate.middle >= JOINED_DELIVERIES or found.middle >= 0.75)


def _memory(run: Run) -> Verdict:
    title, goal = "Memory per idle connection", f"{BYTES_PER_CONNECTION / 1024:.0f} KB or less"
    scenario = run.scenario("memory")
    found = None if scenario is None else spread([one.bytes_per_connection for one in of(scenario, OURS)])
    if found is None:
        return _not_measured(title, goal)
    return Verdict(title, goal, f"{found.middle / 1024:.1f} KB", found.middle <= BYTES_PER_CONNECTION)


def _latency(run: Run) -> Verdict:
    """Judge the latency by the better of the two settings: users can choose either."""
    title, goal = "p99 latency, 1,000 subscribers, 200 publications/s", f"below {P99_MILLISECONDS:.0f} ms"
    scenario = run.scenario("latency")
    if scenario is None:
        return _not_measured(title, goal)
    found = []
    for peer in (OURS, OURS_JOINED):
        values = spread([one.latency.p99 / 1000 for one in of(scenario, peer) if one.latency is not None])
        if values is not None:
            found.append((values.middle, peer))
    if not found:
        return _not_measured(title, goal)
    best = min(found)
    reached = ", ".join(f"{p99:.1f} ms ({peer})" for p99, peer in found)
    return Verdict(title, goal, reached, best[0] < P99_MILLISECONDS)


def _text(found: Spread) -> str:
    return f"{found.middle:.2f} ({found.lowest:.2f} to {found.highest:.2f})"


_GOALS: Sequence[Callable[[Run], Verdict]] = (
    _ratio_goal("Fan-out to 1,000, nothing joined", "fan-out-1000", 0.80),
    _joined,
    _ratio_goal(
        "Connect with token and subscribe, to the floor's bare handshakes", "storm", 0.60, against="storm-bare"
    ),
    _ratio_goal("Publish commands, one per read", "inbound", 0.40),
    _memory,
    _latency,
    _beside("Fan-out to 1,000 clients of Socket.IO by WebSocket", "socket-io", 2.0, "Socket.IO", OURS_SOCKET_IO),
    _beside(
        "Fan-out to 1,000 clients of Socket.IO by long polling", "socket-io-polling", 2.0, "Socket.IO", OURS_POLLING
    ),
    _beside("Fan-out to 1,000 WebSockets of a route", "plain", 0.95, "Centrifugo's protocol", OURS_ENVELOPE, OURS_BARE),
)
