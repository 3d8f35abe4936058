"""The report on replacements: drain.md and drain.svg."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench import machine
from bench.chart import Line, lines
from bench.drain.outcome import SINGLE, Outcome, judge
from bench.report import table

TITLE = "Reconnects while all servers are replaced"


def write(folder: Path, outcomes: Sequence[Outcome], connections: int, budget: float, servers: int) -> None:
    """Write both files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "drain.svg").write_text(plot(outcomes))
    (folder / "drain.md").write_text(markdown(outcomes, connections, budget, servers))


def plot(outcomes: Sequence[Outcome]) -> str:
    """Plot the reconnects over time."""
    drawn = [Line(outcome.name, outcome.per_second()) for outcome in outcomes if outcome.name != SINGLE]
    return lines(TITLE, "seconds since the first close", "reconnects per second", drawn, from_zero=True)


def markdown(outcomes: Sequence[Outcome], connections: int, budget: float, servers: int) -> str:
    """Render the report."""
    rows = [
        [
            outcome.name,
            f"{outcome.moves:,}",
            f"{outcome.peak:,.0f}",
            f"{outcome.gap(0.5):.2f}",
            f"{outcome.gap(0.99):.2f}",
            f"{outcome.duration:.1f}",
            f"{outcome.whole:.1f}",
            f"{outcome.delivered:,}",
            f"{outcome.lost:,}",
            f"{outcome.duplicated:,}",
        ]
        for outcome in outcomes
    ]
    heads = ["", "moves", "peak, reconnects/s", "gap p50, s", "gap p99, s", "first to last, s", "whole change, s",
             "delivered", "lost", "duplicated"]  # fmt: skip
    goals = [
        [found.goal, found.reached, "reached" if found.met else "**not reached**"]
        for found in judge(outcomes, connections, budget)
    ]
    return f"""<!-- Written by `python -m bench.drain`: do not edit. -->
# Replacing all servers

{connections} clients of the JavaScript SDK, with its own delays, stay while all {servers} servers are replaced
({datetime.now(UTC):%Y-%m-%d}, {machine.describe()}). All are subscribed to one recoverable channel with publications.
Everything runs on one machine: servers, Redis, clients.

- **One connection at a time** is what a reconnect costs when nothing else happens.
- **Plain Deployment, preStop sleep**: the server of this repository without its moves. One server after another is
  started anew, the old one leaves the endpoint, sleeps for 5 s, and gets a SIGTERM on which it closes everything.
- **All closed at once**: all new servers are there, and all old ones close everything in the same moment.
- **This operator**: `realtime up`, a change of the spec, `maxSurge: 100%`, and {budget:g} connections per second.

![{TITLE}](drain.svg)

{table(heads, rows)}

A gap is the time from the close of a connection until the client is subscribed again.
The SDK waits for 0.5 to 1 s of it. "Whole change" includes the start of new servers and the settle time.

## Goals

{table(["goal", "reached", "verdict"], goals)}
"""
