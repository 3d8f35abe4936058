"""The load generator's histogram and messages."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from tests.unit.bench.c_library import c_library

NUMBERS = (54 << 10) * 8 + 16
"""Bytes of a struct histogram: its buckets, and two numbers."""
OPTIONS = 4096
"""More bytes than a struct options has; all zeros, as an empty command line leaves it."""


@pytest.fixture(scope="module")
def load() -> Iterator[ctypes.CDLL]:
    """Without its scenarios."""
    with c_library("load", "histogram.c", "dialect.c", "client.c", "polling.c", "options.c") as library:
        library.histogram_quantile.restype = ctypes.c_double
        library.histogram_quantile.argtypes = [ctypes.c_char_p, ctypes.c_double]
        library.histogram_add.argtypes = [ctypes.c_char_p, ctypes.c_int64]
        library.masked_frame.restype = ctypes.c_size_t
        library.masked_frame.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
        library.dialect_stamp.restype = ctypes.c_int64
        library.dialect_stamp.argtypes = [ctypes.c_char_p, ctypes.c_size_t]
        yield library


@settings(max_examples=50)
@given(st.lists(st.integers(0, 10**11), min_size=1, max_size=50), st.floats(0, 1))
def test_quantiles(load: ctypes.CDLL, values: list[int], share: float) -> None:
    """Off by at most a thousandth, or a microsecond."""
    histogram = ctypes.create_string_buffer(NUMBERS)
    for value in values:
        load.histogram_add(histogram, value)
    exact = sorted(values)[min(int(share * len(values)), len(values) - 1)] / 1000
    assert load.histogram_quantile(histogram, share) == pytest.approx(exact, rel=2e-3, abs=1.0)


def test_nothing_has_no_quantile(load: ctypes.CDLL) -> None:
    """Zero."""
    assert load.histogram_quantile(ctypes.create_string_buffer(NUMBERS), 0.99) == 0


@settings(max_examples=50)
@given(st.text(max_size=300, alphabet=st.characters(codec="utf-8")))
def test_frames_are_what_a_server_expects(load: ctypes.CDLL, text: str) -> None:
    """Masked text frames, by the `websockets` library."""
    payload = text.encode()
    out = ctypes.create_string_buffer(len(payload) + 14)
    length = load.masked_frame(out, payload, len(payload))
    server = ServerProtocol(state=OPEN)
    server.receive_data(out.raw[:length])
    (frame,) = server.events_received()
    assert isinstance(frame, Frame)
    assert bytes(frame.data).decode() == text


@pytest.mark.parametrize(
    "line", [b'{"push":{"pub":{"data":{"t":"%019d","p":"x"}}}}', b'42["pub",{"t":"%019d","p":"x"}]']
)
def test_stamps_are_found_wherever_they_are(load: ctypes.CDLL, line: bytes) -> None:
    """Also when the line before had it elsewhere, and in a line that ends too soon."""
    for stamp in (0, 123_456_789_012_345):
        text = line % stamp
        assert load.dialect_stamp(text, len(text)) == stamp
        assert load.dialect_stamp(b" " * 7 + text, len(text) + 7) == stamp
    assert load.dialect_stamp(line % 1, line.index(b"%") + 3) == -1
    assert load.dialect_stamp(b'{"id":1,"publish":{}}', 21) == -1
