"""`python -m bench`: measure, print the goals, and optionally write the report to a folder."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tests.kit.server_process import TOKEN_SECRET
from tests.kit.tokens import connection_token

from bench import build, checkout, machine, peers, report, rounds, scenarios
from bench.build import BuildError
from bench.generator import Generator
from bench.machine import MachineError
from bench.results import Run

TOKENS = 10_000
"""Number of tokens; more clients share them."""


async def run(arguments: argparse.Namespace) -> Run:
    """Measure what was requested; raises BuildError when the floor, the load generator or the base cannot be built."""
    with contextlib.ExitStack() as stack:
        before = stack.enter_context(checkout.installed(arguments.base)) if arguments.base else None
        return await measure(arguments, before)


async def measure(arguments: argparse.Namespace, before: Path | None) -> Run:
    """Measure what was requested, and the server of another commit whose packages are in the folder `before`."""
    chosen = scenarios.scenarios(only=tuple(arguments.only), quick=arguments.quick)
    if before is not None:
        chosen = [replace(scenario, rounds=arguments.rounds) for scenario in chosen]
    wanted = set(arguments.peers) or set(peers.NAMES)
    print("building what is needed", file=sys.stderr)
    busy = machine.busy()
    there = peers.prepare(lambda name: name in wanted, before)
    notices = [*there.notices, *([busy] if busy else [])]
    for notice in notices:
        print(f"note: {notice}", file=sys.stderr)
    count = 1 if arguments.quick else arguments.rounds
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        tokens = Path(folder) / "tokens"
        tokens.write_text("".join(f"{connection_token(TOKEN_SECRET, f'user-{n}')}\n" for n in range(TOKENS)))
        generator = Generator(build.c_program("load"), tokens)
        found, failures = await rounds.measure(chosen, there.found, count, generator, fresh=not arguments.quick)
    return Run(
        day=f"{datetime.now(UTC):%Y-%m-%d}",
        machine=machine.describe(),
        versions={**there.versions, **({peers.OURS_BEFORE: f"of commit {arguments.base}"} if before else {})},
        notices=tuple(notices),
        failures=tuple(failures),
        rounds=count,
        quick=arguments.quick,
        scenarios=tuple(found),
    )


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    found = argparse.ArgumentParser(prog="bench", description="Measure the server beside its peers.")
    found.add_argument(
        "--quick", action="store_true", help="small and once, about a minute: shows that everything runs"
    )
    found.add_argument("--rounds", type=int, default=5, help="how often it is measured, at most (default: 5)")
    found.add_argument("--only", type=_one_of(scenarios.keys()), default=[], metavar="SCENARIO[,SCENARIO]",
                       help=f"of {', '.join(scenarios.keys())}; fan-out means all that begin with it")  # fmt: skip
    found.add_argument("--peers", type=_one_of(list(peers.NAMES)), default=[], metavar="SERVER[,SERVER]",
                       help=f"of {', '.join(peers.NAMES)}; the floor is always measured")  # fmt: skip
    found.add_argument("--base", metavar="COMMIT",
                       help="measure the server of another commit too, --rounds times")  # fmt: skip
    found.add_argument("--output", type=Path, help="folder for README.md, plots and raw/ (default: print only)")
    found.add_argument("--from", dest="source", type=Path, metavar="FILE",
                       help="write the report of these raw results again, measure nothing")  # fmt: skip
    return found


class _one_of:  # noqa: N801 - reads as a function where it is used
    """A parser of names separated by commas; a name may be the prefix of several, up to a dash."""

    def __init__(self, known: Sequence[str]) -> None:
        self._known = known

    def __call__(self, text: str) -> list[str]:
        """Return the names; raises argparse's error for an unknown one."""
        names = [name.strip() for name in text.split(",") if name.strip()]
        for name in names:
            if not any(known == name or known.startswith(f"{name}-") for known in self._known):
                raise argparse.ArgumentTypeError(f"{name} is not one of {', '.join(self._known)}")
        return names


def main(given: Sequence[str] | None = None) -> int:
    """Parse the arguments, stay off the servers' core, and run."""
    arguments = parser().parse_args(given)
    try:
        if arguments.source is not None:
            found = report.read(arguments.source)
        else:
            machine.prepare()
            found = asyncio.run(run(arguments))
    except (MachineError, BuildError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if arguments.output is not None:
        report.write(arguments.output, found)
    print(report.markdown(found))
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
