"""Deltas between publications, applied by an SDK's own decoder."""

from __future__ import annotations

import itertools
import json
import random
import struct

import pytest
from centrifuge.fossil import apply_delta
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.channels import delta
from realtime_server.core.channels.delta import checksum, patch

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=8), inner, max_size=5),
    max_leaves=20,
).map(lambda value: json.dumps(value, ensure_ascii=False))
LONG = st.tuples(st.text(max_size=30), st.integers(1, 60)).map(lambda pair: pair[0] * pair[1])
TEXTS = JSON | LONG | st.text(max_size=200)


@st.composite
def changed(draw: st.DrawFn) -> tuple[str, str]:
    """Return a text and a variant with pieces moved, omitted, repeated and inserted."""
    source = draw(TEXTS)
    cuts = sorted(draw(st.lists(st.integers(0, len(source)), min_size=2, max_size=8)))
    pieces = [source[start:end] for start, end in itertools.pairwise(cuts)]
    kept = draw(st.lists(st.sampled_from(pieces) | st.text(max_size=5), max_size=10))
    return source, "".join(kept)


@given(changed() | st.tuples(TEXTS, TEXTS) | TEXTS.map(lambda text: (text, text)))
def test_what_is_made_from_a_patch_is_the_target(texts: tuple[str, str]) -> None:
    """The decoded patch is the target; the patch is valid UTF-8 and shorter."""
    source, target = (text.encode() for text in texts)
    made = patch(source, target)
    if made is not None:
        assert len(made) < len(target)
        made.decode()
        assert bytes(apply_delta(source, made)) == target


@given(st.binary(max_size=3000))
def test_the_checksum_is_a_sum_of_words(data: bytes) -> None:
    """The checksum sums big-endian 32-bit words, the last one padded with zeros."""
    words = struct.unpack(f">{(len(data) + 3) // 4}I", data + b"\0" * (-len(data) % 4))
    assert checksum(data) == sum(words) & 0xFFFFFFFF


@pytest.mark.parametrize("data", [b"\xff" * 4096, b"\xff" * 100_000, b"", b"\0" * 100])
def test_the_checksum_of_extreme_data(data: bytes) -> None:
    """The checksum is right where carries are largest."""
    assert checksum(data) == sum(struct.unpack(f">{len(data) // 4}I", data)) & 0xFFFFFFFF


def test_a_small_change_is_a_small_patch() -> None:
    """The size of a patch depends on the changes, not on the document."""
    players = [{"name": f"player-{number}", "score": number * 7} for number in range(2000)]
    source = json.dumps(players).encode()
    for index in (10, 700, 701, 1500, 1999):
        players[index]["score"] = -1
    target = json.dumps(players).encode()
    made = patch(source, target)
    assert made is not None
    assert len(made) < 120
    assert bytes(apply_delta(source, made)) == target


def test_what_has_nothing_in_common_has_no_patch() -> None:
    """Documents without common pieces have no patch."""
    assert patch(b"a" * 1000, b"b" * 1000) is None
    assert patch(b"", b"x" * 100) is None
    assert patch(b"x" * 100, b"") is None


def test_characters_are_not_cut() -> None:
    """Insertions contain whole characters, even where two characters differ in their last byte alone."""
    source, target = ("text " * 20 + sign + " text" * 20 for sign in ("\u2603", "\u2604"))
    made = patch(source.encode(), target.encode())
    assert made is not None
    assert "\u2604" in made.decode()


def test_the_effort_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search that ends early still yields a correct patch."""
    chance = random.Random(1)
    blocks = [chance.randbytes(32).hex() for _ in range(100)]
    source = "".join(blocks).encode()
    chance.shuffle(blocks)
    target = "".join(blocks).encode()
    whole = patch(source, target)
    monkeypatch.setattr(delta, "MAX_EFFORT", 16 * 10)
    part = patch(source, target)
    assert whole is not None
    assert part is not None
    assert len(whole) < len(part) < len(target)
    assert bytes(apply_delta(source, part)) == target
