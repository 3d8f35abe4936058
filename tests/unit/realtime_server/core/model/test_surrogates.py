"""Lone surrogates in JSON."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.model.surrogates import explain, find_half_pair


@pytest.mark.parametrize(
    ("document", "place"),
    [(rb'"\ud83d"', 1), (rb'"ab\ude00"', 3), (rb'["\ud83d", "\ude00"]', 2), (rb'"\ud83d\ud83d\ude00"', 1),
     (rb'"\ud83dx\ude00"', 1), (rb'"\uD83D\n"', 1), (rb'"\ud83d\ude00"', None), (rb'"\\ud83d"', None),
     (rb'"\\\ud83d"', 3), (b'"plain"', None), (rb'"\u0041\""', None)],
)  # fmt: skip
def test_the_first_half_is_found(document: bytes, place: int | None) -> None:
    """A pair is not lone, and an escaped backslash before the same letters is no escape."""
    assert find_half_pair(document) == place


@given(st.text(st.characters(min_codepoint=0xD7F0, max_codepoint=0xE010) | st.sampled_from('\\"u😀'), max_size=12))
def test_what_has_none_is_text(text: str) -> None:
    """Documents without lone surrogates are those that Python can encode as UTF-8."""
    document = json.dumps(text).encode()
    decoded = json.loads(document)
    try:
        decoded.encode()
    except UnicodeEncodeError:
        assert find_half_pair(document) is not None
    else:
        assert find_half_pair(document) is None


def test_it_is_told_in_words() -> None:
    """The message has the position; other faults keep the decoder's message."""
    for document, message in ((rb'{"data":"\ud83d"}', rb"\ud83d at byte 9".decode()), (b'{"data":NaN}', "malformed")):
        with pytest.raises(msgspec.DecodeError) as caught:
            msgspec.json.decode(document)
        assert message in explain(caught.value, document)
