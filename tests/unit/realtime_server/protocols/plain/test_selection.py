"""Tests of the selection of actions by a JSON pointer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.protocols.plain.selection import DEFAULT, NOT_JSON, UNREAD, PointerError, Selected, Selection


@pytest.mark.parametrize(
    ("pointer", "message", "key"),
    [
        ("/action", b'{"action":"join"}', "join"),
        ("/a/b", b'{"a":{"b":"x"}}', "x"),
        ("/0/type", b'[{"type":"x"}]', "x"),
        ("/a~1b", b'{"a/b":"x"}', "x"),
        ("/m~0n", b'{"m~n":"x"}', "x"),
        ("/action", b'{"action":7}', DEFAULT),
        ("/action", b'{"action":"$connect"}', DEFAULT),
        ("/action", b'{"action":"$default"}', DEFAULT),
        ("/action", b"{}", DEFAULT),
        ("/action", b"[]", DEFAULT),
        ("/0", b'"text"', DEFAULT),
        ("/-", b'["x"]', DEFAULT),
        ("/action", b'{"action":"j\\u00f6in"}', "jöin"),
        ("/action", b'{"action":["join"]}', DEFAULT),
        ("", b'{"action":"join"}', DEFAULT),
    ],
)
def test_a_text_in_the_message_is_the_key(pointer: str, message: bytes, key: str) -> None:
    """Nothing that a client sends selects one of the predefined actions."""
    assert Selection(pointer).select(message).key == key


def test_what_is_no_json_is_for_the_default_action() -> None:
    for message in (
        b"hello",
        b"",
        b"{",
        b"\xff",
        b'{"action":"\xff"}',
        b'{"other":"\xff"}',
        b'{"a":1}x',
        b'{"a":}',
        b"[" * 1000 + b"]" * 1000,
    ):
        assert Selection("/action").select(message) == NOT_JSON


@pytest.mark.parametrize(
    ("message", "ident"),
    [
        (b'{"id":7}', b"7"),
        (b'{"id":"a"}', b'"a"'),
        (b'{"id":true}', None),
        (b'{"id":1.5}', None),
        (b'{"id":null}', None),
        (b'{"id":{}}', None),
        (b"[]", None),
        (b'{"id":"%b"}' % (b"x" * 300), None),
    ],
)
def test_a_message_may_have_an_id(message: bytes, ident: bytes | None) -> None:
    assert Selection(idents=True).select(message) == Selected(ident=ident, is_json=True)


def test_a_message_of_which_nothing_matters_is_not_read() -> None:
    assert Selection().select(b"{") is UNREAD


def test_a_pointer_that_is_none_is_refused() -> None:
    for wrong in ("action", "$.action", "/~2"):
        with pytest.raises(PointerError, match="RFC 6901"):
            Selection(wrong)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "id", "b"]), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_a_field_is_selected_as_any_other_place(document: object) -> None:
    """The common case reads no more than it needs, and finds the same."""
    message = json.dumps(document).encode()
    direct, deep = Selection("/a", idents=True).select(message), Selection("/x/a", idents=True)
    assert direct.key == deep.select(b'{"x":%b}' % message).key
    assert direct.is_json is True
    wanted = document.get("id") if isinstance(document, dict) else None
    is_ident = isinstance(wanted, str | int) and not isinstance(wanted, bool) and len(json.dumps(wanted)) < 80
    assert not is_ident or (direct.ident is not None and json.loads(direct.ident) == wanted)


@given(st.binary(max_size=60))
def test_no_message_raises(message: bytes) -> None:
    assert isinstance(Selection("/a/0", idents=True).select(message), Selected)
