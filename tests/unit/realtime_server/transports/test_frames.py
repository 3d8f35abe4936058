"""WebSocket frames, compared with the `websockets` library."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from realtime_server.transports import accelerated, frames
from realtime_server.transports.frames import (
    PING,
    FrameError,
    FrameParser,
    Split,
    frame_binary,
    frame_close,
    frame_control,
    frame_text,
    unmask,
)
from tests.unit.realtime_server.transports.frame_pieces import parsed, read_by_library

LIMIT = 70_000
MESSAGE = st.binary(max_size=300) | st.sampled_from([b"a" * size for size in (125, 126, 127, 65_535, 65_536)])


def masked(opcode: Opcode, payload: bytes, *, fin: bool = True) -> bytes:
    """Return a frame as the library's client makes it."""
    return Frame(opcode, payload, fin=fin).serialize(mask=True)


def cut(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Split data into pieces."""
    bounds = [0, *sorted(at % (len(data) + 1) for at in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


def parse(pieces: Iterable[bytes]) -> list[tuple[int, bytes]]:
    """Return the parser's events, which both twins of `split` must agree on. Raises FrameError where both do."""
    pieces = list(pieces)
    outcomes = [outcome(pieces, split) for split in (frames.split, accelerated.split)]
    assert outcomes[0] == outcomes[1]
    events, error = outcomes[0]
    if error is not None:
        raise FrameError(*error)
    return events


def outcome(pieces: list[bytes], split: Split) -> tuple[list[tuple[int, bytes]], tuple[int, str] | None]:
    """Return the events, followed by code and reason if there was an error."""
    parser = FrameParser(LIMIT, split=split)
    events: list[tuple[int, bytes]] = []
    try:
        events.extend(parsed(parser, pieces))  # those before an error are kept
    except FrameError as error:
        return events, (error.code, error.reason)
    return events, None


@given(st.lists(MESSAGE, max_size=5), st.lists(st.integers(0), max_size=8))
def test_messages_come_out_however_they_are_cut(messages: list[bytes], cuts: list[int]) -> None:
    """Messages are found however TCP splits them."""
    stream = b"".join(masked(Opcode.BINARY, message) for message in messages)
    assert parse(cut(stream, cuts)) == [(Opcode.BINARY, message) for message in messages]


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=6), st.lists(st.integers(0), max_size=8))
def test_fragments_are_joined_and_control_frames_may_stand_between(parts: list[bytes], cuts: list[int]) -> None:
    """Control frames may stand between fragments (RFC 6455, section 5.4)."""
    sent = []
    for index, part in enumerate(parts):
        sent.append(masked(Opcode.CONT if index else Opcode.BINARY, part, fin=index == len(parts) - 1))
        sent.append(masked(Opcode.PING, b"%d" % index))
    events = parse(cut(b"".join(sent), cuts))
    assert [payload for opcode, payload in events if opcode == Opcode.BINARY] == [b"".join(parts)]
    assert sum(opcode == Opcode.PING for opcode, _ in events) == len(parts)


@given(st.binary(max_size=400), st.lists(st.integers(0), max_size=4))
def test_garbage_raises_nothing_but_frame_errors(data: bytes, cuts: list[int]) -> None:
    """Any bytes yield events, or a FrameError with a close code of RFC 6455."""
    codes = set()
    try:
        parse(cut(data, cuts))
    except FrameError as error:
        codes.add(error.code)
    assert codes <= {1002, 1007, 1009}


@given(MESSAGE)
def test_what_is_sent_is_read_by_the_library(message: bytes) -> None:
    """The library reads the frames in all three forms of the length."""
    for made, opcode in ((frame_text(message), Opcode.TEXT), (frame_binary(message), Opcode.BINARY)):
        frame = read_by_library(made)
        assert (frame.opcode, bytes(frame.data), frame.fin) == (opcode, message, True)


def test_a_ping_is_read_by_the_library() -> None:
    """The client answers a ping without payload with a pong without payload."""
    frame = read_by_library(PING)
    assert (frame.opcode, bytes(frame.data), frame.fin) == (Opcode.PING, b"", True)


@given(st.binary(max_size=60), st.lists(st.sampled_from([b"", b"a" * 3, "ä".encode(), b"\xff"]), max_size=4))
def test_both_twins_take_the_same(garbage: bytes, texts: list[bytes]) -> None:
    """Both twins take complete frames of the common kinds, and nothing after them."""
    data = b"".join(masked(Opcode.TEXT, text) for text in texts) + garbage
    assert accelerated.split(data, LIMIT) == frames.split(data, LIMIT)
    assert accelerated.split(bytearray(data), LIMIT) == frames.split(data, LIMIT)


@given(st.binary(max_size=100), st.binary(min_size=4, max_size=4))
def test_unmasking_is_its_own_inverse(payload: bytes, mask: bytes) -> None:
    """Unmasking matches the RFC's definition, byte by byte."""
    assert unmask(payload, mask) == bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
    assert unmask(unmask(payload, mask), mask) == payload


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame_text(b"not masked"), 1002),
        (b"\xf1" + masked(Opcode.TEXT, b"a")[1:], 1002),
        (b"\x83" + masked(Opcode.TEXT, b"a")[1:], 1002),
        (masked(Opcode.CONT, b"a"), 1002),
        (masked(Opcode.TEXT, b"a", fin=False) + masked(Opcode.TEXT, b"b"), 1002),
        (b"\x09\x80\0\0\0\0", 1002),
        (masked(Opcode.TEXT, b"\xff"), 1007),
        (masked(Opcode.TEXT, b"\xc3", fin=False) + masked(Opcode.CONT, b"x"), 1007),
        (b"\x81\xff" + (LIMIT + 1).to_bytes(8, "big"), 1009),
        (masked(Opcode.BINARY, b"a" * 50_000, fin=False) + masked(Opcode.CONT, b"a" * 50_000), 1009),
    ],
    ids=["not masked", "reserved bits", "unknown opcode", "continues nothing", "not continued", "fragmented ping",
         "not UTF-8", "not UTF-8 in fragments", "too long", "too long in fragments"],
)  # fmt: skip
def test_what_breaks_the_protocol(data: bytes, code: int) -> None:
    """Each fault has the close code of RFC 6455, section 7.4."""
    with pytest.raises(FrameError) as caught:
        parse([data])
    assert caught.value.code == code


@pytest.mark.parametrize(
    "start", [b"\xff", b"ok \xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90", b"\xce\xba\xff"], ids=lambda start: start.hex()
)
def test_text_that_cannot_become_utf8_is_refused_before_its_end(start: bytes) -> None:
    """The error comes with the fragment that has the first invalid byte."""
    with pytest.raises(FrameError, match="invalid UTF-8"):
        parse([masked(Opcode.TEXT, start, fin=False)])


def test_a_character_may_be_cut_by_a_fragment() -> None:
    """Only the whole message must be UTF-8."""
    start, end = "ä".encode()[:1], "ä".encode()[1:]
    assert parse([masked(Opcode.TEXT, start, fin=False) + masked(Opcode.CONT, end)]) == [(Opcode.TEXT, "ä".encode())]


def test_a_long_message_is_refused_by_its_header() -> None:
    """The error comes before the payload, so that nothing of it is kept."""
    parser = FrameParser(100)
    with pytest.raises(FrameError, match="message too big"):
        list(parsed(parser, [b"\x82\xfe\xff\xff"]))


def test_the_reason_of_a_close_is_cut_to_what_fits() -> None:
    """A control frame has at most 125 bytes, and its reason is UTF-8."""
    frame = read_by_library(frame_close(4000, "ä" * 100))
    assert frame.opcode == Opcode.CLOSE
    assert int.from_bytes(frame.data[:2], "big") == 4000
    assert bytes(frame.data[2:]).decode() == "ä" * 61


def test_a_pong_has_the_payload_of_its_ping() -> None:
    """A pong carries up to 125 bytes."""
    frame = read_by_library(frame_control(Opcode.PONG, b"p" * 125))
    assert (frame.opcode, bytes(frame.data)) == (Opcode.PONG, b"p" * 125)


@given(st.lists(st.tuples(st.booleans(), MESSAGE)))
def test_frames_of_the_server_are_split_again(messages: list[tuple[bool, bytes]]) -> None:
    """Each into its message, with whether that is binary."""
    joined = b"".join(frame_binary(payload) if binary else frame_text(payload) for binary, payload in messages)
    assert list(frames.split_frames(joined)) == messages
