"""permessage-deflate: negotiation, sending, and protection from clients."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterable
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory, PerMessageDeflate
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.uri import parse_uri

from realtime_server import codes
from realtime_server.transports.compression import (
    WINDOW_BITS,
    DeflatedFrames,
    Deflater,
    DeflatingConnection,
    Negotiation,
    deflate,
    gzipped,
    inflate,
)
from realtime_server.transports.frames import BINARY, RSV1, TEXT, FrameError, FrameParser, frame_binary, frame_text
from tests.kit.server_doubles import RecordingConnection
from tests.unit.realtime_server.transports.frame_pieces import parsed, read_by_library

LIMIT = 70_000
REPETITIVE = b'{"price":1,"volume":2}' * 100
MESSAGE = st.binary(max_size=300) | st.sampled_from(
    [b"", b"a", REPETITIVE, b"a" * 65_536, bytes(range(256)) * 256, os.urandom(20_000)]
)


def extension() -> PerMessageDeflate:
    """Return the library's extension, as a client has it after the negotiation."""
    return PerMessageDeflate(
        remote_no_context_takeover=True,
        local_no_context_takeover=True,
        remote_max_window_bits=WINDOW_BITS,
        local_max_window_bits=15,
    )


def sent_by_client(opcode: Opcode, *parts: bytes) -> list[Frame]:
    """Return the frames of a compressed message with each part as a fragment, as the library's client sends them."""
    encoder = extension()
    frames = [
        Frame(opcode if index == 0 else Opcode.CONT, part, fin=index == len(parts) - 1)
        for index, part in enumerate(parts)
    ]
    return [encoder.encode(frame) for frame in frames]


def serialized(frames: Iterable[Frame]) -> bytes:
    """Return masked frames with their reserved bits."""
    return b"".join(_masked(frame) for frame in frames)


def _masked(frame: Frame) -> bytes:
    rsv1, frame.rsv1 = frame.rsv1, False
    data = frame.serialize(mask=True)
    return bytes((data[0] | (RSV1 if rsv1 else 0),)) + data[1:]


def parse(pieces: Iterable[bytes], *, negotiated: bool = True, limit: int = LIMIT) -> list[tuple[int, bytes]]:
    """Return the parser's events for the pieces."""
    parser = FrameParser(limit, inflate if negotiated else None)
    return list(parsed(parser, pieces))


# frames out


@given(MESSAGE, st.integers(0, 400))
def test_what_is_sent_is_read_by_the_library(message: bytes, threshold: int) -> None:
    """The library reads compressed and other messages, in all three forms of the length."""
    deflater = Deflater(threshold)
    for made, opcode in ((deflater.frame_text(message), Opcode.TEXT), (deflater.frame_binary(message), Opcode.BINARY)):
        read = read_by_library(made, [extension()])
        assert (read.opcode, bytes(read.data), read.fin) == (opcode, message, True)


def test_messages_below_the_threshold_are_not_compressed() -> None:
    """Their frames are the same as without compression."""
    size = len(REPETITIVE)
    assert Deflater(size + 1).frame_text(REPETITIVE) == frame_text(REPETITIVE)
    assert Deflater(size).frame_text(REPETITIVE)[0] == TEXT | RSV1
    assert Deflater(size).frame_binary(REPETITIVE)[0] == BINARY | RSV1


def test_what_does_not_become_smaller_is_sent_as_it_is() -> None:
    """Random bytes and very short messages are sent uncompressed."""
    for message in (os.urandom(5000), b"", b"a"):
        assert Deflater(0).frame_binary(message) == frame_binary(message)


def test_the_same_message_gives_the_same_frame() -> None:
    """No context is kept, so that one frame can be sent to all subscribers."""
    deflater = Deflater(0)
    first = deflater.frame_text(REPETITIVE)
    deflater.frame_text(b"something else, something else, something else")
    assert deflater.frame_text(REPETITIVE) == first


# frames in


def cut(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Split data into pieces."""
    bounds = [0, *sorted(at % (len(data) + 1) for at in cuts), len(data)]
    return [data[start:end] for start, end in pairwise(bounds)]


@given(st.lists(MESSAGE, max_size=4), st.lists(st.integers(0), max_size=8))
def test_compressed_messages_come_out_however_they_are_cut(messages: list[bytes], cuts: list[int]) -> None:
    """Messages that the library's client compressed are decoded."""
    data = b"".join(serialized(sent_by_client(Opcode.BINARY, message)) for message in messages)
    assert parse(cut(data, cuts)) == [(Opcode.BINARY, message) for message in messages]


@given(st.lists(MESSAGE, min_size=1, max_size=4), st.lists(st.integers(0), max_size=8))
def test_fragments_of_compressed_messages_are_joined(parts: list[bytes], cuts: list[int]) -> None:
    """Only the first fragment has RSV1 (RFC 7692, section 6.1); pings may stand between."""
    frames = sent_by_client(Opcode.BINARY, *parts)
    data = b"".join(serialized([frame]) + serialized([Frame(Opcode.PING, b"p")]) for frame in frames)
    whole = b"".join(parts)
    if len(whole) > LIMIT:
        with pytest.raises(FrameError, match="message too big"):
            parse(cut(data, cuts))
        return
    events = parse(cut(data, cuts))
    assert [payload for opcode, payload in events if opcode is Opcode.BINARY] == [whole]
    assert len(events) == len(parts) + 1


def test_compressed_and_other_messages_may_alternate() -> None:
    """Each message is marked as compressed or not."""
    data = serialized([*sent_by_client(Opcode.TEXT, b"a"), Frame(Opcode.TEXT, b"b"), *sent_by_client(Opcode.TEXT, b"")])
    assert parse([data]) == [(Opcode.TEXT, b"a"), (Opcode.TEXT, b"b"), (Opcode.TEXT, b"")]


def compressed(payload: bytes, *, opcode: Opcode = Opcode.BINARY, fin: bool = True) -> bytes:
    """Return a frame that is marked as compressed."""
    return serialized([Frame(opcode, payload, fin=fin, rsv1=True)])


EXAMPLES = {
    "7.2.3.1": bytes.fromhex("f248cdc9c90700"),
    "7.2.3.3": bytes.fromhex("000500faff48656c6c6f00"),
    "7.2.3.4": bytes.fromhex("f348cdc9c9070000"),
    "7.2.3.5": bytes.fromhex("f248050000 00ffff cac9c90700".replace(" ", "")),
}
"""Payloads of "Hello" in the sections of RFC 7692, with different kinds of blocks."""


@pytest.mark.parametrize("payload", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_the_examples_of_the_standard(payload: bytes) -> None:
    """A client may divide its message into blocks as it likes."""
    assert parse([compressed(payload)]) == [(Opcode.BINARY, b"Hello")]


def test_a_compressed_message_may_become_as_long_as_any_other() -> None:
    """The limit applies to the decompressed length, exactly."""
    assert inflate(deflate(b"a" * LIMIT), LIMIT) == b"a" * LIMIT
    with pytest.raises(FrameError, match="message too big"):
        inflate(deflate(b"a" * (LIMIT + 1)), LIMIT)


@pytest.mark.parametrize("parts", [1, 2, 50])
def test_a_bomb_is_refused(parts: int) -> None:
    """A gigabyte in a megabyte is refused with 1009, without decompressing more than the limit."""
    bomb = deflate(b"\0" * 50_000_000)
    size = -(-len(bomb) // parts)
    frames = [
        Frame(Opcode.BINARY if at == 0 else Opcode.CONT, bomb[at : at + size], fin=at + size >= len(bomb), rsv1=at == 0)
        for at in range(0, len(bomb), size)
    ]
    with pytest.raises(FrameError) as caught:
        parse([serialized(frames)])
    assert caught.value.code == 1009


HELLO = deflate(b"Hello")
BROKEN = {
    "RSV1 on a continuation": (
        compressed(HELLO[:3], fin=False) + compressed(HELLO[3:], opcode=Opcode.CONT),
        1002,
    ),
    "RSV1 on a continuation of what is not compressed": (
        serialized([Frame(Opcode.BINARY, b"a", fin=False)]) + compressed(b"b", opcode=Opcode.CONT),
        1002,
    ),
    "RSV1 on a ping": (compressed(b"p", opcode=Opcode.PING), 1002),
    "RSV1 on a close": (compressed(b"\x03\xe8", opcode=Opcode.CLOSE), 1002),
    "RSV2 as well": (bytes((0xE2,)) + compressed(HELLO)[1:], 1002),
    "no DEFLATE": (compressed(b"\xff\xff\xff\xff"), 1002),
    "nothing": (compressed(b""), 1002),
    "cut off": (compressed(deflate(REPETITIVE)[:20]), 1002),
    "something after the last block": (compressed(EXAMPLES["7.2.3.4"] + HELLO), 1002),
    "text that is not UTF-8": (compressed(deflate(b"\xff"), opcode=Opcode.TEXT), 1007),
    "compressed longer than the limit": (b"\xc2\xff" + (LIMIT + 1).to_bytes(8, "big"), 1009),
}


@pytest.mark.parametrize(("data", "code"), BROKEN.values(), ids=BROKEN.keys())
def test_what_breaks_the_protocol(data: bytes, code: int) -> None:
    """Each fault has the close code of RFC 6455, section 7.4."""
    with pytest.raises(FrameError) as caught:
        parse([data])
    assert caught.value.code == code


@given(st.binary(max_size=200), st.lists(st.integers(0), max_size=4))
def test_garbage_raises_nothing_but_frame_errors(payload: bytes, cuts: list[int]) -> None:
    """Any bytes yield events, or a FrameError with a close code of RFC 6455."""
    codes = set()
    try:
        parse(cut(compressed(payload, opcode=Opcode.TEXT), cuts))
    except FrameError as error:
        codes.add(error.code)
    assert codes <= {1002, 1007, 1009}


@given(st.binary(max_size=60), st.integers(-1, 9))
def test_any_compressor_is_understood(message: bytes, level: int) -> None:
    """Data of a compressor that stores only, or that ends its stream, is decoded."""
    for flush in (zlib.Z_SYNC_FLUSH, zlib.Z_FULL_FLUSH, zlib.Z_FINISH):
        compressor = zlib.compressobj(level, zlib.DEFLATED, -15)
        made = compressor.compress(message) + compressor.flush(flush)
        payload = made + b"\0" if flush == zlib.Z_FINISH else made.removesuffix(b"\0\0\xff\xff")
        assert inflate(payload, LIMIT) == message


def test_compression_that_was_not_negotiated_is_refused() -> None:
    """RSV1 without negotiation is a protocol error (RFC 6455, section 5.2)."""
    with pytest.raises(FrameError) as caught:
        parse([compressed(HELLO)], negotiated=False)
    assert (caught.value.code, caught.value.reason) == (1002, "reserved bits must be 0")


# negotiation

BOTH = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
OFFERS = {
    "permessage-deflate": f"{BOTH}; server_max_window_bits=12",
    "permessage-deflate; client_max_window_bits": f"{BOTH}; server_max_window_bits=12",
    "permessage-deflate; client_max_window_bits=10": f"{BOTH}; server_max_window_bits=12; client_max_window_bits=10",
    "permessage-deflate; server_max_window_bits=15": f"{BOTH}; server_max_window_bits=12",
    "permessage-deflate; server_max_window_bits=12": f"{BOTH}; server_max_window_bits=12",
    BOTH: f"{BOTH}; server_max_window_bits=12",
    "permessage-deflate; server_max_window_bits=11": None,
    "permessage-deflate; server_max_window_bits=8": None,
    "permessage-deflate; server_max_window_bits=9, permessage-deflate": f"{BOTH}; server_max_window_bits=12",
    "permessage-deflate, permessage-deflate; client_max_window_bits": f"{BOTH}; server_max_window_bits=12",
    "permessage-deflate; what=1": None,
    "permessage-deflate; server_max_window_bits=16": None,
    "permessage-deflate; server_max_window_bits": None,
    "permessage-deflate; server_no_context_takeover=1": None,
    "permessage-deflate; server_no_context_takeover; server_no_context_takeover": None,
    "x-webkit-deflate-frame": None,
    "": None,
}


@pytest.mark.parametrize(("offer", "answer"), OFFERS.items(), ids=OFFERS.keys())
def test_what_is_negotiated(offer: str, answer: str | None) -> None:
    """Contexts are never kept; an offer that requires more is declined, without compression (RFC 7692, 5)."""
    client = ClientProtocol(parse_uri("ws://localhost/"))
    request = client.connect()
    if offer:
        request.headers["Sec-WebSocket-Extensions"] = offer
    server = ServerProtocol(extensions=[Negotiation()])
    server.receive_data(request.serialize())
    (received,) = server.events_received()
    assert isinstance(received, Request)
    response = server.accept(received)
    assert response.status_code == 101
    assert response.headers.get("Sec-WebSocket-Extensions") == answer
    assert bool(server.extensions) == (answer is not None)


def test_the_librarys_client_agrees_with_the_answer() -> None:
    """The library's client accepts the answer, with its default offer."""
    client = ClientProtocol(parse_uri("ws://localhost/"), extensions=[ClientPerMessageDeflateFactory()])
    server = ServerProtocol(extensions=[Negotiation()])
    request = client.connect()
    client.send_request(request)
    server.receive_data(b"".join(client.data_to_send()))
    (received,) = server.events_received()
    assert isinstance(received, Request)
    server.send_response(server.accept(received))
    client.receive_data(b"".join(server.data_to_send()))
    assert client.handshake_exc is None
    (negotiated,) = client.extensions
    assert isinstance(negotiated, PerMessageDeflate)
    assert (negotiated.remote_no_context_takeover, negotiated.local_no_context_takeover) == (True, True)
    assert negotiated.remote_max_window_bits == WINDOW_BITS


# frames that were made for all clients


@given(st.lists(st.tuples(st.booleans(), MESSAGE), max_size=4))
def test_frames_are_compressed_message_by_message(messages: list[tuple[bool, bytes]]) -> None:
    """As if they had been made for clients with compression."""
    deflater = Deflater(300)
    plain = b"".join(frame_binary(payload) if binary else frame_text(payload) for binary, payload in messages)
    expected = b"".join(
        deflater.frame_binary(payload) if binary else deflater.frame_text(payload) for binary, payload in messages
    )
    assert DeflatedFrames(300).of(plain) == expected


def test_frames_for_many_are_compressed_once() -> None:
    """The same bytes for each of them; those below the threshold are left alone."""
    frames, short = frame_text(REPETITIVE), frame_text(b"short")
    deflated = DeflatedFrames(100)
    first = deflated.of(frames)
    assert deflated.of(short) is short
    assert deflated.of(frames) is first
    assert len(first) < len(frames) / 2


def test_a_connection_is_that_below_it_but_for_what_is_written() -> None:
    below = RecordingConnection(congested=True, behind=3, refused=2)
    connection = DeflatingConnection(below, DeflatedFrames(100))
    connection.write(frame_text(REPETITIVE))
    assert connection.written_bytes == len(below.written[0]) < len(REPETITIVE) / 2
    assert (connection.congested, connection.unacknowledged(), connection.unsent()) == (True, 3, 2)
    connection.pause_reading()
    assert below.is_paused()
    connection.resume_reading()
    assert not below.is_paused()
    connection.close(codes.SLOW)
    assert below.closed_by == codes.SLOW


def test_gzip() -> None:
    assert gzip.decompress(gzipped(REPETITIVE)) == REPETITIVE
