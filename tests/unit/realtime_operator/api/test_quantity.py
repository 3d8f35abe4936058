"""Tests of quantities. The canonical forms were compared with those of an API server of Kubernetes 1.34."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_operator.api import quantity

NUMBERS = st.decimals(min_value=0, max_value=10**6, places=3, allow_nan=False, allow_infinity=False)
SUFFIXES = st.sampled_from(["", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e3", "E2"])


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("100m", "100m"),
        ("0.1", "100m"),
        ("1", "1"),
        (1, "1"),
        ("1000", "1k"),
        (1000, "1k"),
        ("1024", "1024"),
        ("1.5", "1500m"),
        ("1000m", "1"),
        ("512Mi", "512Mi"),
        ("1024Mi", "1Gi"),
        ("1536Mi", "1536Mi"),
        ("1.5Gi", "1536Mi"),
        ("0.5Ki", "512"),
        ("1000M", "1G"),
        ("1e3", "1e3"),
        ("12E6", "12e6"),
        ("5E", "5E"),
        ("3Ei", "3Ei"),
        ("0", "0"),
        ("0Ki", "0"),
        ("1n", "1m"),
        ("1.1234", "1124m"),
    ],
)
def test_canonical_is_what_the_api_server_returns(written: int | str, expected: str) -> None:
    """A manifest with canonical quantities equals its live object."""
    assert quantity.canonical(written) == expected


@given(NUMBERS, SUFFIXES)
def test_canonical_is_stable_and_equal(number: Decimal, suffix: str) -> None:
    """A canonical quantity is its own canonical form, and exceeds the original by a thousandth at most."""
    written = f"{number:f}{suffix}"
    once = quantity.canonical(written)
    assert quantity.canonical(once) == once
    assert 0 <= quantity.parse(once) - quantity.parse(written) < Decimal("0.001")


@pytest.mark.parametrize("text", ["", "1 Gi", "1GB", "ten", "1.2.3", "--1", "Gi", "1e", "\u0661"])
def test_anything_else_is_refused(text: str) -> None:
    assert not quantity.is_quantity(text)
    with pytest.raises(ValueError, match="write it like 500m"):
        quantity.parse(text)


@pytest.mark.parametrize(("written", "expected"), [("64Ki", 65536), (1024, 1024), ("1500m", 2), ("1M", 1_000_000)])
def test_whole_rounds_up(written: int | str, expected: int) -> None:
    assert quantity.whole(written) == expected
