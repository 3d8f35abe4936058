"""Tests of positions that clients resume from."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.core.model.values import StreamPosition
from realtime_server.protocols.plain.resumption import (
    MAX_POSITIONS,
    Resumption,
    ResumptionError,
    event_id,
    event_id_of,
    read_event_id,
    read_since,
    tag_of,
)

OFFSETS = st.integers(0, 2**53 - 1)
EPOCHS = st.from_regex(r"[0-9a-f]{1,32}", fullmatch=True)
POSITIONS = st.builds(StreamPosition, OFFSETS, EPOCHS)


def test_one_position_is_an_offset_and_an_epoch() -> None:
    assert read_since((), ()) is None
    found = read_since(("5",), ("xyz",))
    assert found is not None
    assert found.of("any") == StreamPosition(5, "xyz")


def test_several_positions_name_their_channels() -> None:
    """A channel may have colons; one that is not named has no position."""
    found = read_since(("5:x:chat:a", "0:y:chat:b:c"), ())
    assert found is not None
    assert [found.of(channel) for channel in ("chat:a", "chat:b:c", "chat:c")] == [
        StreamPosition(5, "x"),
        StreamPosition(0, "y"),
        None,
    ]


@pytest.mark.parametrize(
    ("since", "epoch", "why"),
    [
        (["5"], [], "needs epoch"),
        (["5"], [""], "needs epoch"),
        ([""], ["x"], "must be an offset"),
        (["-1"], ["x"], "must be an offset"),
        (["99999999999999999"], ["x"], "must be an offset"),
        (["1"], ["x", "y"], "given once"),
        (["1"], ["\0"], "that of a message"),
        (["1", "2"], ["x"], "must be OFFSET:EPOCH:CHANNEL for each"),
        (["1:x"], [], "must be OFFSET:EPOCH:CHANNEL"),
        (["1:x:"], [], "must be OFFSET:EPOCH:CHANNEL"),
        (["1::a"], [], "must be OFFSET:EPOCH:CHANNEL"),
        (["one:x:a"], [], "must be OFFSET:EPOCH:CHANNEL"),
        (["1:x:" + "a" * 256], [], "must be OFFSET:EPOCH:CHANNEL"),
        (["1:x:a", "2:x:a"], [], "once for each channel"),
        (["1:x:a"], ["x"], "epoch is for since with an offset alone"),
        ([f"1:x:{number}" for number in range(65)], [], "more than 64 times"),
    ],
)
def test_a_bad_position_is_refused(since: list[str], epoch: list[str], why: str) -> None:
    with pytest.raises(ResumptionError, match=why):
        read_since(since, epoch)


@given(POSITIONS)
def test_an_event_id_is_read_as_it_is_written(position: StreamPosition) -> None:
    assert read_event_id(event_id(position.offset, position.epoch)).of("any") == position


@given(st.dictionaries(st.text(min_size=1), POSITIONS, min_size=1, max_size=MAX_POSITIONS))
def test_the_id_of_an_event_has_all_positions(positions: dict[str, StreamPosition]) -> None:
    found = read_event_id(event_id_of({tag_of(channel): at for channel, at in positions.items()}))
    assert {channel: found.of(channel) for channel in positions} == positions
    assert (found.one, found.is_event) == (None, True)


def test_the_id_of_an_event_fits_into_a_header() -> None:
    """However long the names of the channels are: a server's head of a request has 16 KiB."""
    most = {tag_of(f"{number}" * 100): StreamPosition(2**53, "f" * 16) for number in range(MAX_POSITIONS)}
    assert len(event_id_of(most)) < 4096


@pytest.mark.parametrize("wrong", ["9", "9:", ":y", "nine:y", "9:\x7f", "9:y:0123456,8:\x7f:01234567"])
def test_what_is_no_event_id_is_refused(wrong: str) -> None:
    with pytest.raises(ResumptionError, match="Last-Event-ID"):
        read_event_id(wrong)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing else is raised, and what is read has an offset that Redis takes."""
    reads: tuple[Callable[[], Resumption | None], ...] = (
        lambda: read_event_id(text),
        lambda: read_since([text], ["x"]),
        lambda: read_since([text, "1:x:a"], ()),
    )
    for read in reads:
        try:
            found = read()
        except ResumptionError:
            continue
        at = None if found is None else found.of("a")
        assert at is None or at.offset < 10**16
