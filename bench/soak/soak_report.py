"""The report of a soak: soak.md, soak.svg and soak.csv."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import UTC, datetime
from pathlib import Path

from bench import machine
from bench.chart import Line, lines
from bench.report import table
from bench.soak.verdict import FLAT, LEAST_SAMPLES, LEAST_SECONDS, WARM_UP, Sample, judge

MEBIBYTE = 1024 * 1024


def write(folder: Path, samples: Sequence[Sample], clients: int) -> None:
    """Write all three files."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "soak.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Sample)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(sample) for sample in samples)
    (folder / "soak.svg").write_text(plot(samples))
    (folder / "soak.md").write_text(markdown(samples, clients))


def plot(samples: Sequence[Sample]) -> str:
    """Plot memory over time."""
    points = [(sample.at / 60, sample.memory / MEBIBYTE) for sample in samples]
    return lines("Memory of the server while clients come and go", "minutes", "MiB", [Line("realtime-server", points)],
                 from_zero=True)  # fmt: skip


def markdown(samples: Sequence[Sample], clients: int) -> str:
    """Render the report."""
    last = samples[-1]
    rows = [
        [
            f"{sample.at / 60:.1f}",
            f"{sample.memory / MEBIBYTE:.2f}",
            str(sample.connected),
            *(f"{count:,}" for count in (sample.connects, sample.published, sample.received, sample.errors)),
        ]
        for sample in samples
    ]
    heads = ["minute", "MiB", "connected", "connects", "published", "received", "errors"]
    return f"""<!-- Written by `python -m bench.soak`: do not edit. -->
# Soak

One server with Redis, {clients} clients that connect, subscribe, publish, unsubscribe and go, half of them without a
close, for {last.at / 60:.0f} minutes ({datetime.now(UTC):%Y-%m-%d}, {machine.describe()}).
Each of the {clients} opens a new connection when its last one is over.
Memory is the anonymous resident memory of the server's processes together.

{verdict(samples)}

![Memory of the server while clients come and go](soak.svg)

{table(heads, rows)}

The samples: [soak.csv](soak.csv)
"""


def verdict(samples: Sequence[Sample]) -> str:
    """Return the verdict as one paragraph."""
    found = judge(samples)
    if found is None:
        minutes = LEAST_SECONDS / 60
        return (
            f"**No verdict**: {LEAST_SAMPLES} samples over {minutes:.0f} minutes are needed after the warm-up "
            f"(the first {WARM_UP:.0%})."
        )
    word = "Memory is flat" if found.flat else "Memory is not flat"
    return (
        f"**{word}**: after the warm-up (the first {WARM_UP:.0%}) a straight line through {found.samples} samples "
        f"rises by {found.rise:+.2%} of their mean of {found.mean / MEBIBYTE:.1f} MiB, "
        f"{found.slope / MEBIBYTE:+.2f} MiB per hour. Up to {FLAT:.0%} counts as flat."
    )
