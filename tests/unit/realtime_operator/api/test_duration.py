"""Tests of durations."""

from __future__ import annotations

import pytest

from realtime_operator.api import duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [("1s", 1), ("25s", 25), ("10m", 600), ("1h30m", 5400), ("1h1m1s", 3661), ("0s", 0), ("90m", 5400), ("005s", 5)],
)
def test_a_duration_is_whole_seconds(text: str, expected: int) -> None:
    assert duration.seconds(text) == expected


@pytest.mark.parametrize(
    "text", ["", "10", "s", "1.5s", "-1s", "1s1m", "1d", "10 s", "10S", "\u0661s", "1s\n", "1234567s"]
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    assert not duration.is_duration(text)
    with pytest.raises(ValueError, match="write it like 30s"):
        duration.seconds(text)


@pytest.mark.parametrize(("text", "expected"), [("0ms", 0), ("5ms", 5), ("1000ms", 1000)])
def test_milliseconds(text: str, expected: int) -> None:
    assert duration.milliseconds(text) == expected


@pytest.mark.parametrize("text", ["", "5", "5s", "05ms", "-1ms", "1.5ms", "1001ms", "5ms\n"])
def test_other_milliseconds_are_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="write them like 5ms"):
        duration.milliseconds(text)
