"""`python -m bench.operator --base COMMIT --output docs/performance`: compare the operator with an earlier commit."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.kit.apiserver import ApiServer

from bench.operator import load, report
from bench.operator.builds import Build, builds
from bench.operator.load import Foreign
from bench.operator.measure import Measured, measure

SECRET_BYTES = 200_000
USER = "measured-operator"


def compare(base: str, clusters: int, foreign: Foreign, seconds: float) -> report.Comparison:
    """Measure both builds, without and with foreign objects."""
    with builds(base) as pair:
        found = [_measure_build(build, clusters, foreign, seconds) for build in pair]
        alone, beside = zip(*found, strict=True)
        return report.Comparison(pair[0].commit, clusters, foreign, alone, beside)


def _measure_build(build: Build, clusters: int, foreign: Foreign, seconds: float) -> tuple[Measured, Measured]:
    """Measure one build on its own API server, with the CRD and the role of its commit."""
    with ApiServer(build.crd) as server:
        server.grant(USER, build.rules)
        load.make_namespaces(server)
        load.make_clusters(server, clusters)
        alone = _measure(server, build, seconds)
        load.make_foreign(server, foreign)
        return alone, _measure(server, build, seconds)


def _measure(server: ApiServer, build: Build, seconds: float) -> Measured:
    log = io.StringIO()
    try:
        with contextlib.redirect_stdout(log):  # the operator's log, which it prints at its end
            found = asyncio.run(measure(server, build, USER, seconds))
    except BaseException:
        print(log.getvalue()[-4000:], file=sys.stderr)
        raise
    print(f"{build.name} ({build.commit}): {found}", file=sys.stderr)
    return found


def parser() -> argparse.ArgumentParser:
    """Build the parser of the command line."""
    found = argparse.ArgumentParser(prog="bench.operator", description="The operator beside that of another commit.")
    found.add_argument("--base", default="HEAD~1", help="the other commit (default: HEAD~1)")
    found.add_argument("--clusters", type=int, default=20, help="settled RealtimeClusters (default: 20)")
    found.add_argument("--secrets", type=int, default=1000, help="Secrets of others, of 200 KB (default: 1000)")
    found.add_argument("--pods", type=int, default=5000, help="Pods of others (default: 5000)")
    found.add_argument("--seconds", type=float, default=120.0, help="to count requests for (default: 120)")
    found.add_argument("--output", type=Path, help="folder for operator.md (default: print only)")
    return found


def main(given: Sequence[str] | None = None) -> int:
    """Compare; return 1 when this checkout misses a goal."""
    arguments = parser().parse_args(given)
    foreign = Foreign(arguments.secrets, SECRET_BYTES, arguments.pods)
    comparison = compare(arguments.base, arguments.clusters, foreign, arguments.seconds)
    print(report.render(comparison))
    if arguments.output is not None:
        report.write(arguments.output, comparison)
    missed = comparison.missed()
    for line in missed:
        print(f"error: {line}", file=sys.stderr)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
