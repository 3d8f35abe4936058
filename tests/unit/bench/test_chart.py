"""Plots by hand."""

from __future__ import annotations

from xml.dom.minidom import parseString

import pytest
from bench.chart import COLOURS, Bar, Line, bars, colour, decade_ticks, lines, nice_ticks, number
from hypothesis import given
from hypothesis import strategies as st

positive = st.floats(min_value=1e-3, max_value=1e9)


@given(st.floats(min_value=0, max_value=1e9), positive)
def test_ticks_hold_what_is_shown(lowest: float, span: float) -> None:
    """Few, rising, and around both ends."""
    ticks = nice_ticks(lowest + span, lowest)
    slack = 1e-6 * max(lowest + span, 1e-3)
    assert ticks[0] <= lowest + slack
    assert ticks[-1] >= lowest + span - slack
    assert ticks == sorted(set(ticks))
    assert 2 <= len(ticks) <= 11


@given(positive, st.floats(min_value=1, max_value=1e6))
def test_decades_hold_what_is_shown(lowest: float, factor: float) -> None:
    """Also when there is only one value."""
    ticks = decade_ticks(lowest, lowest * factor)
    assert ticks[0] <= lowest
    assert ticks[-1] >= lowest * factor
    assert len(ticks) >= 2


@given(st.lists(st.tuples(st.text(max_size=9, alphabet="a<&\"' ,é"), positive, positive, positive), max_size=8))
def test_bars_are_a_document(values: list[tuple[str, float, float, float]]) -> None:
    """Whatever the names are."""
    drawn = [Bar(name, sorted(three)[1], min(three), max(three)) for name, *three in values]
    parseString(bars("Title <1>", "µs & more", drawn))  # noqa: S318 - our own


@pytest.mark.parametrize("logarithmic", [True, False])
def test_lines_are_a_document(logarithmic: bool) -> None:
    """With a legend and both axes."""
    drawn = [Line("C floor", [(10, 5.0), (100, 2.0)]), Line("a & b", [(10, 7.0)])]
    svg = lines("Title", "subscribers", "µs", drawn, logarithmic=logarithmic, from_zero=True)
    parseString(svg)  # noqa: S318 - our own
    for text in ("subscribers", "µs", "C floor", "a &amp; b"):
        assert f">{text}</text>" in svg


def test_a_server_keeps_its_colour() -> None:
    """In all its settings and in every plot; others have one by their place."""
    assert colour("realtime-server, Redis", 3) == colour("realtime-server", 0) == COLOURS["realtime-server"]
    assert colour("another", 0) != colour("another", 1)
    assert len(set(COLOURS.values())) == len(COLOURS)


def test_numbers_are_short() -> None:
    """Three digits, or whole with commas."""
    assert [number(value) for value in (0.61349, 9.4, 1234567.8, 100)] == ["0.613", "9.4", "1,234,568", "100"]
