"""Events that servers exchange."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.model.publication import (
    Content,
    Event,
    Joined,
    Left,
    binary_content_of,
    content_in,
    content_of,
    pack,
    unpack,
    with_trace,
)
from realtime_server.core.model.values import ClientInfo, Publication

TEXTS = st.text(max_size=20)
INFOS = st.builds(ClientInfo, TEXTS, TEXTS, st.none() | st.binary(max_size=20), st.none() | st.binary(max_size=20))
CONTENTS = st.builds(
    Content,
    st.binary(max_size=50),
    st.none() | INFOS,
    st.none() | st.dictionaries(TEXTS, TEXTS, max_size=3),
    st.booleans(),
    st.none() | st.dictionaries(TEXTS, TEXTS, max_size=2),
)


class EarlierContent(msgspec.Struct, tag=1, array_like=True, frozen=True, gc=False):
    """A publication as servers know it that do not trace."""

    data: bytes
    info: ClientInfo | None = None
    tags: dict[str, str] | None = None
    binary: bool = False


@given(st.one_of(CONTENTS, st.builds(Joined, INFOS), st.builds(Left, INFOS)))
def test_what_is_packed_can_be_unpacked(event: Event) -> None:
    assert unpack(pack(event)) == event


@given(st.binary(max_size=100))
def test_what_cannot_be_read_is_null(packed: bytes) -> None:
    """An unreadable event becomes null, since omitting it would leave a gap in the offsets for ever."""
    event = unpack(packed)
    assert isinstance(event, Content | Joined | Left)
    assert isinstance(content_in(Publication(packed, 1)), Content)


@given(CONTENTS)
def test_servers_that_do_not_trace_read_it_and_are_read(content: Content) -> None:
    """The trace is the last field, which they do not look at and do not write."""
    read = msgspec.msgpack.decode(pack(content), type=EarlierContent)
    assert read == EarlierContent(content.data, content.info, content.tags, content.binary)
    assert unpack(msgspec.msgpack.encode(read)) == msgspec.structs.replace(content, trace=None)


def test_a_publication_without_a_trace_is_one_byte_longer_than_before() -> None:
    """Only what is sampled carries more."""
    assert len(pack(Content(b"1"))) == len(msgspec.msgpack.encode(EarlierContent(b"1"))) + 1


def test_a_trace_is_added_to_a_publication() -> None:
    content = Content(b"1", tags={"a": "b"})
    assert with_trace(content, None) is content
    assert with_trace(content, {"traceparent": "x"}) == Content(b"1", tags={"a": "b"}, trace={"traceparent": "x"})


def test_a_history_has_publications_only() -> None:
    """Any other event in a history, of a foreign writer, becomes null."""
    assert content_in(Publication(pack(Joined(ClientInfo("a", "b"))), 3)).data == b"null"


@pytest.mark.parametrize(
    ("data", "binary"),
    [
        (b'{"a":1}', False),
        (b"", True),
        (b"{", True),
        (b"\xff", True),
        (b'"\xff"', True),
        (b"[" * 100_000, True),
        (b"[" * 600 + b"]" * 600, True),
    ],
)
def test_bytes_are_json_if_they_are(data: bytes, binary: bool) -> None:
    """A JSON client gets JSON data as JSON, and other data in base64."""
    content = binary_content_of(data)
    assert (content.data, content.binary) == (data, binary)


def test_json_is_one_line() -> None:
    """Line feeds, which separate replies, are removed between tokens without changing the value."""
    content = content_of(b'{\r\n"a":\n[1,\n2]}')
    assert b"\n" not in content.data
    assert json.loads(content.data) == {"a": [1, 2]}
    assert msgspec.json.decode(binary_content_of(b'{"a":\n1}').data) == {"a": 1}
