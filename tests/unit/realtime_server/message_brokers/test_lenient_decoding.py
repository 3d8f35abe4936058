"""Tests of the decoding of properties that are not what they should be."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import decode, encode

from realtime_server.message_brokers.lenient_decoding import UNREADABLE_HEADERS, decode_leniently


@pytest.fixture(autouse=True, scope="module")
def _lenient() -> Iterator[None]:
    usual = dict(decode.METHODS)
    decode_leniently()
    yield
    decode.METHODS.update(usual)


def test_what_is_valid_is_decoded_as_before() -> None:
    now = datetime(2026, 11, 29, 12, 0, 0, tzinfo=UTC)
    assert decode.by_type(encode.short_string("größe"), "shortstr") == (8, "größe")
    assert decode.by_type(encode.timestamp(now), "timestamp") == (8, now)
    table = encode.field_table({"a": 1, "b": "text"})
    assert decode.by_type(table, "table") == (len(table), {"a": 1, "b": "text"})


def test_text_that_is_not_utf_8_has_replacement_characters() -> None:
    assert decode.by_type(b"\x03a\xff\xfe", "shortstr") == (4, "a\ufffd\ufffd")


@pytest.mark.parametrize("seconds", [2**64 - 1, 1_700_000_000_000_000_000])
def test_a_time_that_no_calendar_has_is_1970(seconds: int) -> None:
    """Like one in nanoseconds."""
    assert decode.by_type(struct.pack(">Q", seconds), "timestamp") == (8, datetime.fromtimestamp(0, UTC))


@pytest.mark.parametrize(
    "content",
    [b"\x01\xffS\x00\x00\x00\x00", b"\x01a?", b"\x09a"],
    ids=["key", "type", "short"],
)
def test_a_table_that_cannot_be_read_is_a_marker(content: bytes) -> None:
    """What follows it is read at the right place."""
    table = struct.pack(">I", len(content)) + content
    assert decode.by_type(table + b"following", "table") == (len(table), {UNREADABLE_HEADERS: True})


@given(st.binary(max_size=80))
def test_no_table_is_an_error(content: bytes) -> None:
    table = struct.pack(">I", len(content)) + content
    consumed, found = decode.by_type(table, "table")
    assert consumed == len(table)
    assert isinstance(found, dict)
