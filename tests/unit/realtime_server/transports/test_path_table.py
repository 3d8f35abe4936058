"""Tests of the table of paths."""

from __future__ import annotations

import pytest

from realtime_server.transports.path_table import PathTable

TABLE = PathTable({"/a": 1, "/b/*": 2, "/b-c/*": 3})


@pytest.mark.parametrize(
    ("path", "value"),
    [("/a", 1), ("/a/x", None), ("/b/x", 2), ("/b/", 2), ("/b/x/y", 2), ("/b", None), ("/b-c/x", 3), ("/bx", None)],
)
def test_a_pattern_stands_for_all_that_is_below(path: str, value: int | None) -> None:
    """Others are exact."""
    assert TABLE.find(path) == value
