"""The measurement of compression: what it counts, and of what."""

from __future__ import annotations

import json

from bench.compression import SIZES, document, walk
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.transports.frames import frame_binary


@given(st.lists(st.sampled_from([0, 1, 125, 126, 65_535, 65_536]), max_size=4), st.integers(0, 20))
def test_frames_are_walked_over(sizes: list[int], cut: int) -> None:
    """Whole ones are counted with their lengths, the rest is kept."""
    frames = [frame_binary(b"a" * size) for size in sizes]
    rest = frame_binary(b"a" * 200)[:cut]
    assert walk(b"".join(frames) + rest) == (sizes, rest)


def test_documents_have_their_size_and_are_the_same_each_time() -> None:
    """Else two runs could not be compared."""
    for size in SIZES:
        made = json.dumps(document(size))
        assert size * 0.9 < len(made) <= size + 100
        assert made == json.dumps(document(size))
