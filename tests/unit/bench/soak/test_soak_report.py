"""What is left of a soak."""

from __future__ import annotations

import csv
from pathlib import Path

from bench.soak.soak_report import verdict, write

from tests.unit.bench.soak.test_verdict import samples


def test_three_files_are_written(tmp_path: Path) -> None:
    """The table has a line for each sample, the CSV too."""
    write(tmp_path, samples(*[50 * 2**20] * 6), 300)
    with (tmp_path / "soak.csv").open() as file:
        assert [row["memory"] for row in csv.DictReader(file)] == ["52428800"] * 6
    text = (tmp_path / "soak.md").read_text()
    assert "| 6.0 | 50.00 | 1 | 1 | 0 | 0 | 0 |" in text.splitlines()
    assert "](soak.svg)" in text
    assert "</svg>" in (tmp_path / "soak.svg").read_text()


def test_the_verdict_is_one_sentence_with_figures() -> None:
    """And says when there is none."""
    assert verdict(samples(*[50 * 2**20] * 18)).startswith("**Memory is flat**: after the warm-up (the first 33%)")
    assert verdict(samples(*(2**20 * minute for minute in range(1, 19)))).startswith("**Memory is not flat**")
    assert verdict(samples(1)).startswith("**No verdict**")
