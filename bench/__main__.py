"""`python -m bench`: measure, print the report, and write it to a folder when asked for."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import uvloop
from tests.kit.server_process import TOKEN_SECRET
from tests.kit.tokens import connection_token

from bench.load import FanOut, LoadError, Measured, storm
from bench.peers import CORES, REFERENCE, SERVER_CORE, Peer, Running, peers
from bench.report import rows, table

DATA_BYTES = 128
INTRODUCTION = """# Performance

The server beside two peers that do the same minimal job (`bench/servers/`), written by `make bench`.
Every server has one core to itself, the load generator another; all take turns, {rounds} rounds.
The ratio is by CPU time of the server, so it does not depend on how fast the load generator is.
Compare ratios, not absolute figures: those belong to this machine ({machine}).
Where several publications are on their way, the server joins what a connection gets in one turn of its event loop into
one system call; the peers write each by itself.
"""


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is done to each server; `run` gets the server and the tokens of the clients."""

    title: str
    run: Callable[[Running, list[str]], Awaitable[Measured]]


def scenarios(subscribers: int, seconds: float) -> list[Scenario]:
    """All that is measured."""

    def fan_out(in_flight: int) -> Callable[[Running, list[str]], Awaitable[Measured]]:
        return lambda server, tokens: FanOut(subscribers, in_flight, DATA_BYTES).run(
            server.port, tokens, server.cpu_seconds, seconds
        )

    return [
        Scenario(f"Fan-out to {subscribers:,} subscribers, one publication at a time (deliveries)", fan_out(1)),
        Scenario(f"Fan-out to {subscribers:,} subscribers, 16 publications on their way (deliveries)", fan_out(16)),
        Scenario(
            "Connect storm: handshake, token, subscription (connections)",
            lambda server, tokens: storm(server.port, tokens, server.cpu_seconds),
        ),
    ]


async def measure(scenario: Scenario, chosen: list[Peer], tokens: list[str], rounds: int) -> list[dict[str, Measured]]:
    """All rounds of a scenario; in each every server is started anew, and the order moves on by one."""
    found = []
    for number in range(rounds):
        order = chosen[number % len(chosen) :] + chosen[: number % len(chosen)]
        measured = {}
        for peer in order:
            async with peer.start() as server:
                measured[peer.name] = await scenario.run(server, tokens)
            one = measured[peer.name]
            print(f"    round {number + 1}: {peer.name}: {one.per_cpu_second:,.0f} per CPU-second", file=sys.stderr)
        found.append({peer.name: measured[peer.name] for peer in chosen})
    return found


def machine() -> str:
    """What the figures belong to."""
    python = f"CPython {platform.python_version()}, uvloop {version('uvloop')}, websockets {version('websockets')}"
    return f"{len(CORES)} cores, Linux {platform.release().partition('-')[0]}, {python}"


async def run(arguments: argparse.Namespace) -> int:
    """Measure everything, print the report and write it where it is asked for."""
    subscribers, connections, rounds, seconds = arguments.subscribers, arguments.connections, arguments.rounds, 4.0
    if arguments.quick:
        subscribers, connections, rounds, seconds = 200, 300, 1, 0.5
    tokens = [connection_token(TOKEN_SECRET, f"user-{n}") for n in range(max(subscribers, connections))]
    parts, raw = [INTRODUCTION.format(rounds=rounds, machine=machine())], {}
    for scenario in scenarios(subscribers, seconds):
        print(scenario.title, file=sys.stderr)
        clients = tokens[:connections] if "storm" in scenario.title else tokens
        found = await measure(scenario, peers(), clients, rounds)
        parts.append(table(scenario.title, rows(found, REFERENCE), REFERENCE))
        raw[scenario.title] = [{name: asdict(one) for name, one in measured.items()} for measured in found]
    report = "\n".join(parts)
    print(report)
    if arguments.output is not None:
        write(arguments.output, report, {"machine": machine(), "rounds": raw})
    return 0


def write(folder: Path, report: str, raw: dict[str, object]) -> None:
    """The report as README.md, the raw results of today beside it."""
    (folder / "raw").mkdir(parents=True, exist_ok=True)
    day = f"{datetime.now(UTC):%Y-%m-%d}"
    (folder / "README.md").write_text(f"{report}\nRaw results: [raw/{day}.json](raw/{day}.json)\n")
    (folder / "raw" / f"{day}.json").write_text(json.dumps(raw, indent=1) + "\n")


def main() -> int:
    """Parse the arguments, keep off the servers' core, run."""
    parser = argparse.ArgumentParser(prog="bench", description="Measure the server beside its peers.")
    parser.add_argument("--quick", action="store_true", help="small and once: shows that everything runs")
    parser.add_argument("--rounds", type=int, default=5, help="how often everything is measured (default: 5)")
    parser.add_argument("--subscribers", type=int, default=1000, help="of the fan-out (default: 1000)")
    parser.add_argument("--connections", type=int, default=2000, help="of the connect storm (default: 2000)")
    parser.add_argument("--output", type=Path, help="folder for README.md and raw/ (default: print only)")
    if len(CORES) < 2:
        print("error: two cores are needed, one for the server and one for the load", file=sys.stderr)
        return 1
    arguments = parser.parse_args()
    os.sched_setaffinity(0, CORES - {SERVER_CORE})
    try:
        return uvloop.run(run(arguments))
    except LoadError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
