"""Limit on the nesting of JSON, the same on every Python."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.model.nesting import MAX_NESTING, check_nesting


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'], ids=["lists", "objects", "both"])
def test_the_bound(opening: bytes) -> None:
    """The limit is exact."""
    closing = b"".join({"[": b"]", "{": b"}"}[sign] for sign in reversed(opening.decode()) if sign in "[{")
    times = MAX_NESTING // len(closing)
    check_nesting(opening * times + b"1" + closing * times)
    with pytest.raises(RecursionError, match="it is nested too deeply"):
        check_nesting(opening * (times + 1) + b"1" + closing * (times + 1))


@pytest.mark.parametrize(
    "document",
    [
        b"[" + b"[]," * 10_000 + b"{}]", json.dumps(["[{" * 1000]).encode(), json.dumps(['"\\[' * 1000]).encode(),
        b'["\\\\",' + b"[]," * 1000 + b'"[\\"["]', b"[]" * 10_000,
    ],
    ids=["wide", "in a string", "after escapes", "both", "no JSON"],
)  # fmt: skip
def test_many_brackets_are_not_deep(document: bytes) -> None:
    """Brackets in strings do not count."""
    check_nesting(document)


def test_half_a_document_is_as_deep() -> None:
    """An incomplete document counts, because the decoder would descend before it reaches the end."""
    with pytest.raises(RecursionError):
        check_nesting(b"[" * 100_000)


nested = st.recursive(
    st.text(st.sampled_from('[]{}"\\a')), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
)


@given(nested, st.sampled_from([0, 1, 510, 511, 512, 600]))
def test_it_is_the_depth_of_what_is_read(value: object, around: int) -> None:
    """The computed depth is that of the decoded value, whatever its strings contain."""
    document = b"[" * around + json.dumps(value).encode() + b"," + b"{}," * 600 + b"1" + b"]" * around
    too_deep = around + max(depth(value), 1) > MAX_NESTING
    if too_deep:
        with pytest.raises(RecursionError):
            check_nesting(document)
    else:
        check_nesting(document)


def depth(value: object) -> int:
    """Return the number of lists and objects around the innermost value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)
