"""Packets of Engine.IO: as the reference encodes and decodes them, whole after a round trip, strict."""

from __future__ import annotations

import base64
import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime_server.protocols.socket_io.engine_packets import (
    SEPARATOR,
    EnginePacket,
    EngineType,
    Opened,
    decode_binary,
    decode_payload,
    decode_text,
    encode_payload,
    encode_text,
)
from realtime_server.protocols.socket_io.errors import EngineError, Fault
from tests.unit.realtime_server.protocols.socket_io.vectors import (
    VECTORS,
    EncodedEngineVector,
    EnginePacketVector,
    PayloadVector,
    from_vector,
)

MAX = 1_000_000
TEXTS = st.text().map(str.encode).filter(lambda data: SEPARATOR not in data)
PACKETS = st.one_of(
    st.tuples(st.sampled_from(EngineType), TEXTS).map(lambda made: EnginePacket(*made)),
    st.binary().map(lambda data: EnginePacket(EngineType.MESSAGE, data, binary=True)),
)


def expected(vector: EnginePacketVector) -> EnginePacket:
    """Return the packet of a vector."""
    data = from_vector(vector.data)
    kind = EngineType[vector.type.upper()]
    if isinstance(data, bytes):
        return EnginePacket(kind, data, binary=True)
    assert isinstance(data, str)
    return EnginePacket(kind, data.encode())


@pytest.mark.parametrize("vector", VECTORS.engine_payloads, ids=lambda vector: repr(vector.body))
def test_a_body_is_decoded_as_by_the_reference(vector: PayloadVector) -> None:
    """What precedes an error counts."""
    wanted = [expected(one) for one in vector.packets if one.type != "error"]
    found = decode_payload(vector.body.encode(), MAX)
    assert [next(found) for _ in wanted] == wanted
    if len(wanted) < len(vector.packets):
        with pytest.raises(EngineError):
            next(found)
    else:
        assert list(found) == []


@pytest.mark.parametrize("vector", VECTORS.engine_packets, ids=lambda vector: vector.body)
def test_a_packet_is_encoded_as_by_the_reference(vector: EncodedEngineVector) -> None:
    assert encode_payload([expected(vector.packet)]) == vector.body.encode()


def test_line_breaks_in_base64_have_no_meaning() -> None:
    """engine.io-client-java sends them: one after each line of 76 characters, and one at the end."""
    data = bytes(range(100))
    body = b"b" + base64.encodebytes(data) + SEPARATOR + b"bAP8=\r\n"
    found = [EnginePacket(EngineType.MESSAGE, each, binary=True) for each in (data, b"\x00\xff")]
    assert list(decode_payload(body, MAX)) == found


def test_a_session_opens_with_the_fields_that_clients_read() -> None:
    opened = Opened("a", ("websocket",), ping_interval=25_000, ping_timeout=20_000, max_payload=1_000_000)
    assert msgspec.json.decode(encode_text(opened.packet())[1:]) == {
        "sid": "a",
        "upgrades": ["websocket"],
        "pingInterval": 25_000,
        "pingTimeout": 20_000,
        "maxPayload": 1_000_000,
    }
    assert encode_text(opened.packet())[:1] == b"0"


@given(st.lists(PACKETS, min_size=1, max_size=20))
def test_a_body_is_whole_after_a_round_trip(packets: list[EnginePacket]) -> None:
    assert list(decode_payload(encode_payload(packets), MAX)) == packets


@given(PACKETS)
def test_a_frame_is_whole_after_a_round_trip(packet: EnginePacket) -> None:
    found = decode_binary(packet.data) if packet.binary else decode_text(encode_text(packet))
    assert found == packet


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"", Fault.EMPTY),
        (b"4a\x1e", Fault.EMPTY),
        (b"7", Fault.UNKNOWN_TYPE),
        (b"\xff", Fault.UNKNOWN_TYPE),
        (b"bAQI", Fault.BAD_BASE64),
        (b"bAQ-_", Fault.BAD_BASE64),
        (b"b====", Fault.BAD_BASE64),
        (b"4" * 11, Fault.TOO_LARGE),
    ],
)
def test_a_wrong_body_has_a_fault(body: bytes, fault: Fault) -> None:
    with pytest.raises(EngineError) as caught:
        list(decode_payload(body, max_payload=10))
    assert caught.value.fault is fault


def test_the_largest_body_is_as_large_as_promised() -> None:
    assert list(decode_payload(b"4" * 10, max_payload=10)) == [EnginePacket(EngineType.MESSAGE, b"4" * 9)]


@given(
    st.lists(st.sampled_from([b"4", b"b", b"AQ==", b"2", b"\x1e", b"\xff", b"7", b"\x00"]) | st.binary()).map(b"".join)
)
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    try:
        found = list(decode_payload(body, MAX))
    except EngineError:
        return
    assert encode_payload(found) == body


def test_many_packets_take_no_more_memory_than_one() -> None:
    """A body of small packets is not decoded at once."""
    body = b"\x1e".join([b"2"] * 10_000)
    tracemalloc.start()
    try:
        assert sum(1 for _ in decode_payload(body, MAX)) == 10_000
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()
