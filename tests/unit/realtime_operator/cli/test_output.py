"""Tests of formatted numbers, bars and texts."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, objects_at
from realtime_operator.cli.document import age, text, whole
from realtime_operator.cli.output import bar, milliseconds, number, plain, size, sparkline, table
from realtime_operator.planning.model.timestamps import parse_timestamp


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0, "0"), (7, "7"), (1.26, "1.3"), (9999, "9999"), (12_345, "12.3k"), (2.5e6, "2.5M"), (3e9, "3.0G")],
)
def test_numbers_have_few_digits(value: float | None, shown: str) -> None:
    """Large numbers have a unit."""
    assert number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB"), (5 << 30, "5.0 GiB")],
)
def test_sizes_are_binary(value: float | None, shown: str) -> None:
    assert size(value) == shown


def test_bars_and_sparklines_are_relative() -> None:
    """A positive part of a bar is at least one character; the largest value has the full height."""
    assert (bar(0, 10), bar(1, 1000), bar(10, 10)) == ("", "█", "█" * 20)
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([0, 5, 10]) == "▁▅█"
    assert sparkline([]) == ""
    assert (milliseconds(None), milliseconds(0.0123)) == ("-", "12.3 ms")


def test_texts_are_printed_as_they_are() -> None:
    """Output has no markup, emoji, truncation or trailing blanks."""
    printed = plain(table(("A", "B"), [("[red]x[/red]", "news:a:b"), ("y", "z" * 300)]))
    assert printed.splitlines()[1] == "[red]x[/red]   news:a:b"
    assert printed.splitlines()[2].endswith("z" * 300)


def test_documents_are_read_without_surprises() -> None:
    """Missing values and values of another type are empty."""
    document: JsonObject = {"a": {"b": [1, {"c": True}], "d": 3}}
    assert dig(document, "a", "x", "y") is None
    assert (text(document, "a", "d"), text(document, "a", "b", default="?")) == ("3", "?")
    assert (whole(document, "a", "d"), whole(objects_at(document, "a", "b")[0], "c")) == (3, None)
    now = parse_timestamp("2026-01-03T00:00:00Z")
    ages = ["2026-01-02T23:59:01Z", "2026-01-02T23:57:00Z", "2026-01-02T01:00:00Z", "2026-01-01T00:00:00Z", "soon"]
    assert [age(then, now) for then in ages] == ["59s", "3m", "23h", "2d", "-"]
