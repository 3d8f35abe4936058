"""Varints and length-delimited messages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.protocols.centrifuge.varint import delimited, encode_varint, split_delimited


@pytest.mark.parametrize(
    ("value", "encoded"),
    [(0, b"\x00"), (1, b"\x01"), (127, b"\x7f"), (128, b"\x80\x01"), (300, b"\xac\x02"),
     (2**64 - 1, b"\xff" * 9 + b"\x01")],
)  # fmt: skip
def test_numbers_are_as_protobuf_writes_them(value: int, encoded: bytes) -> None:
    assert encode_varint(value) == encoded


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_what_is_joined_can_be_split(messages: list[bytes]) -> None:
    """Empty messages are kept: an empty command is the answer to a ping."""
    assert split_delimited(b"".join(map(delimited, messages))) == messages


@pytest.mark.parametrize(
    "data", [b"\x01", b"\x05abcd", b"\x80", b"\xff" * 20, b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80"]
)
def test_what_is_cut_off_is_refused(data: bytes) -> None:
    """A length beyond the data, and an unfinished length, raise ValueError."""
    with pytest.raises(ValueError, match="cut off"):
        split_delimited(data)
