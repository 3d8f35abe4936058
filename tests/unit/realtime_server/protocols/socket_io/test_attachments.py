"""Binary data in the JSON of a packet."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_server.core.model.nesting import MAX_NESTING
from realtime_server.protocols.socket_io.attachments import (
    Value,
    attachments_in_base64,
    check_placeholders,
    decode_base64,
    extract_attachments,
    insert_attachments,
)
from realtime_server.protocols.socket_io.errors import Fault, PacketError

FEWER = settings(max_examples=settings().max_examples // 3)
"""Examples of large values take longer to draw."""
LEAVES: st.SearchStrategy[Value] = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**64 - 1), st.floats(allow_nan=False, allow_infinity=False),
    st.text(), st.binary(),
)  # fmt: skip
VALUES: st.SearchStrategy[Value] = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=20,
)
PLACE = b'{"_placeholder":true,"num":0}'


@FEWER
@given(VALUES)
def test_a_value_is_whole_after_a_round_trip(value: Value) -> None:
    """The value itself is not changed."""
    before = repr(value)
    document, attachments = extract_attachments(value)
    assert repr(value) == before
    check_placeholders(document, len(attachments))
    assert insert_attachments(document, attachments) == value


def test_attachments_are_numbered_in_the_order_of_the_document() -> None:
    value: Value = [b"a", {"x": [b"b", {"y": b"c"}]}, b"d"]
    document, attachments = extract_attachments(value)
    assert attachments == (b"a", b"b", b"c", b"d")
    assert document.index(b'"num":1') < document.index(b'"num":2') < document.index(b'"num":3')


def test_an_attachment_has_one_place_or_none() -> None:
    """Or else a small packet would be large for a backend."""
    check_placeholders(b"[%b]" % PLACE, 2)
    with pytest.raises(PacketError) as caught:
        check_placeholders(b"[%b,[%b]]" % (PLACE, PLACE), 2)
    assert caught.value.fault is Fault.BAD_PLACEHOLDER


def test_backends_get_and_give_binary_data_in_base64() -> None:
    """An object with the one field is binary data, wherever it is; any other object is itself."""
    document = b'[{"b64data":"AP8="},{"x":{"b64data":""}},{"b64data":"AA==","y":1}]'
    decoded = decode_base64(document)
    assert decoded == [b"\x00\xff", {"x": b""}, {"b64data": "AA==", "y": 1}]
    assert attachments_in_base64(*extract_attachments(decoded)) == document
    assert attachments_in_base64(b"[1.0]", ()) == b"[1.0]"


@pytest.mark.parametrize("text", ["?", "AA", "AA=\\n=", "ä"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    for value in (f'"{text}"', "1", "null", "{}"):
        with pytest.raises(PacketError) as caught:
            decode_base64(b'{"b64data":%b}' % value.encode())
        assert caught.value.fault is Fault.BAD_BASE64


@pytest.mark.parametrize(
    "place",
    [
        b'{"_placeholder":true}',
        b'{"_placeholder":true,"num":1}',
        b'{"_placeholder":true,"num":-1}',
        b'{"_placeholder":true,"num":"0"}',
        b'{"_placeholder":true,"num":0.0}',
        b'{"_placeholder":true,"num":false}',
        b'{"\\u005fplaceholder":true,"num":1}',
    ],
)
def test_a_place_has_the_number_of_an_attachment(place: bytes) -> None:
    with pytest.raises(PacketError) as checked:
        check_placeholders(b'["a",[%b]]' % place, 1)
    with pytest.raises(PacketError) as inserted:
        insert_attachments(place, [b"a"])
    assert checked.value.fault is inserted.value.fault is Fault.BAD_PLACEHOLDER


def test_only_true_makes_a_place() -> None:
    assert insert_attachments(b'{"_placeholder":1,"num":0}', [b"a"]) == {"_placeholder": 1, "num": 0}


@pytest.mark.parametrize("document", [b"", b"[", b"[1e999]", b"[%b]" % (b"9" * 5000), b'["\\ud800"]', b'["\xff"]'])
def test_json_that_has_no_value_is_refused(document: bytes) -> None:
    with pytest.raises(PacketError) as caught:
        check_placeholders(document, 1)
    assert caught.value.fault is Fault.BAD_JSON


def test_nesting_is_limited_in_both_directions() -> None:
    """Up to the limit of all JSON, wherever it is called from."""
    deepest = b"[" * MAX_NESTING + b"]" * MAX_NESTING
    assert extract_attachments(insert_attachments(deepest, [])) == (deepest, ())
    value: Value = [insert_attachments(deepest, [])]
    with pytest.raises(PacketError) as inserted:
        insert_attachments(b"[%b]" % deepest, [])
    with pytest.raises(PacketError) as extracted:
        extract_attachments(value)
    assert inserted.value.fault is extracted.value.fault is Fault.TOO_DEEP


@pytest.mark.parametrize("value", [[10**5000], "\ud800", {"\udfff": 1}])
def test_a_value_that_no_json_has_is_refused(value: Value) -> None:
    with pytest.raises(PacketError) as caught:
        extract_attachments([value])
    assert caught.value.fault is Fault.BAD_JSON


@given(st.lists(st.sampled_from([PLACE, b"[", b"]", b"{", b"}", b",", b'"a":', b"1", b"1e999", b"null"])).map(b"".join))
def test_no_document_raises_anything_else(document: bytes) -> None:
    try:
        value = insert_attachments(document, [b"a"])
    except PacketError:
        return
    extract_attachments(value)
