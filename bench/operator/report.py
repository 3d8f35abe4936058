"""The report docs/performance/operator.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import machine
from bench.operator.load import Foreign
from bench.operator.measure import Measured

MEBIBYTE = 1024 * 1024
FILE = "operator.md"
GROWTH_BYTES = 10 * MEBIBYTE
READS_RATIO = 5


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two builds, each without and with foreign objects beside the settled clusters."""

    base: str
    clusters: int
    foreign: Foreign
    alone: Sequence[Measured]
    beside: Sequence[Measured]

    def growth(self, build: int) -> int:
        """Return the bytes by which foreign objects raise a build's peak memory."""
        return self.beside[build].peak - self.alone[build].peak

    def missed(self) -> list[str]:
        """Return the goals that this checkout misses, as text."""
        before, now = (measured.reads_per_minute for measured in self.alone)
        found = []
        if self.growth(1) >= GROWTH_BYTES:
            found.append(f"memory grows by {_mib(self.growth(1))} MiB, less than {_mib(GROWTH_BYTES)} is the goal")
        if now * READS_RATIO > before:
            found.append(f"{now:.0f} reads a minute are more than a fifth of {before:.0f}")
        return found


def render(comparison: Comparison) -> str:
    """Render the report as Markdown."""
    foreign = comparison.foreign
    lines = [
        "<!-- Written by `make bench-operator`: do not edit. -->",
        "# The operator",
        "",
        f"The operator as it is (now) beside that of commit {comparison.base} (before), one after the other, each on a",
        f"kube-apiserver with etcd of its own ({datetime.now(UTC):%Y-%m-%d}, {machine.describe()}).",
        f"There are {comparison.clusters} settled RealtimeClusters, each with a managed Redis; the second time also",
        f"{foreign.secrets:,} Secrets of {foreign.secret_bytes // 1000:,} KB and {foreign.pods:,} Pods of others.",
        "",
        "| | before | now |",
        "| --- | --- | --- |",
    ]
    rows = [
        ("resident memory, MiB", [_mib(m.resident) for m in comparison.alone]),
        ("peak of it, MiB", [_mib(m.peak) for m in comparison.alone]),
        ("resident memory beside objects of others, MiB", [_mib(m.resident) for m in comparison.beside]),
        ("peak of it, MiB", [_mib(m.peak) for m in comparison.beside]),
        ("**growth of the peak, MiB**", [_mib(comparison.growth(build)) for build in (0, 1)]),
        ("**reads a minute**", [f"{m.reads_per_minute:.0f}" for m in comparison.alone]),
        ("reads a minute beside objects of others", [f"{m.reads_per_minute:.0f}" for m in comparison.beside]),
    ]
    lines += [f"| {name} | {before} | {now} |" for name, (before, now) in rows]
    lines += [
        "",
        f"Reads are `get`, `list` and `watch` in the API server's audit log, in {comparison.alone[0].seconds:.0f} s",
        "that begin when nothing but the Lease was written for 10 s; those for the Lease are counted.",
        "The goals are a growth of less than 10 MiB, and at most a fifth of the reads.",
        "`make bench-operator ARGS='--base COMMIT'` measures again, beside any commit;",
        "[how the operator does it](../adr/0018-one-store-fed-by-watches.md).",
    ]
    return "\n".join(lines) + "\n"


def write(folder: Path, comparison: Comparison) -> None:
    """Write the report to the folder."""
    (folder / FILE).write_text(render(comparison))


def _mib(size: int) -> str:
    return f"{size / MEBIBYTE:.1f}"
