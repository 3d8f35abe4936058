"""What the guide to Redis promises is tested: each cell of its table names a test that exists."""

from __future__ import annotations

import re
from pathlib import Path

GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "redis.md"
SECTION = re.compile(r"^## What survives what\n(.*?)^## ", re.MULTILINE | re.DOTALL)
NOTE = re.compile(r"^\[(\d+)\] (.*)$", re.MULTILINE)
UNTESTED = re.compile(r"^(as you run it|has no mode)")
"""Cells that promise nothing."""


def section() -> str:
    """Return the part of the guide."""
    found = SECTION.search(GUIDE.read_text())
    assert found is not None
    return found[1]


def cells() -> list[tuple[str, str]]:
    """Return all cells but the first of each row, with the first one."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section().splitlines() if line[:1] == "|"]
    return [(row[0], cell) for row in rows[2:] for cell in row[1:]]


def notes() -> dict[str, list[str]]:
    """Return the paths of the tests by the number of their note."""
    return {number: re.findall(r"\]\(([^)]+)\)", text) for number, text in NOTE.findall(section())}


def test_each_cell_names_a_test() -> None:
    """By numbers of notes, all of which are used."""
    used = {cell: re.findall(r"\[(\d+)\]", cell) for _, cell in cells()}
    assert [pair for pair in cells() if not used[pair[1]] and not UNTESTED.match(pair[1])] == []
    assert {number for numbers in used.values() for number in numbers} == notes().keys()


def test_each_test_exists() -> None:
    """As a file of tests."""
    paths = [path for named in notes().values() for path in named]
    assert all((GUIDE.parent / path).is_file() and "/tests/" in path for path in paths), paths
