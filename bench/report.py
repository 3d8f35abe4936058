"""From measurements to ratios, each round within itself, so that a slow moment of the machine cancels out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from bench.load import Measured

Rounds = Sequence[Mapping[str, Measured]]
"""What each peer did, round by round."""
SATURATED = 0.95
"""A load generator that is busy for more than this part of the time may have held a server up."""


@dataclass(frozen=True, slots=True)
class Row:
    """One peer in one scenario: its ratio to the reference by CPU time, and its own figures."""

    peer: str
    ratio: float
    lowest: float
    highest: float
    per_cpu_second: float
    per_second: float
    load_share: float


def rows(rounds: Rounds, reference: str) -> list[Row]:
    """One row for each peer, the best first. Ratio and figures are medians over the rounds."""
    found = []
    for peer in rounds[0]:
        ratios = [measured[peer].per_cpu_second / measured[reference].per_cpu_second for measured in rounds]
        mine = [measured[peer] for measured in rounds]
        found.append(
            Row(
                peer=peer,
                ratio=median(ratios),
                lowest=min(ratios),
                highest=max(ratios),
                per_cpu_second=median(one.per_cpu_second for one in mine),
                per_second=median(one.count / one.wall for one in mine),
                load_share=median(one.load_cpu / one.wall for one in mine),
            )
        )
    return sorted(found, key=lambda row: -row.ratio)


def table(title: str, found: Sequence[Row], reference: str) -> str:
    """A section of Markdown with one line for each peer."""
    lines = [
        f"## {title}",
        "",
        f"| server | ratio to {reference} (lowest to highest) | per CPU-second | per second | load generator busy |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in found:
        note = " (saturated)" if row.load_share > SATURATED else ""
        lines.append(
            f"| {row.peer} | {row.ratio:.2f} ({row.lowest:.2f} to {row.highest:.2f}) | {row.per_cpu_second:,.0f} "
            f"| {row.per_second:,.0f} | {row.load_share:.0%}{note} |"
        )
    return "\n".join([*lines, ""])
