"""Packets of Socket.IO: as the reference encodes and decodes them, whole after a round trip, strict, bounded."""

from __future__ import annotations

import base64
import contextlib
import tracemalloc

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime_server.core.model.nesting import MAX_NESTING
from realtime_server.protocols.socket_io.attachments import Value, extract_attachments, insert_attachments
from realtime_server.protocols.socket_io.errors import Fault, PacketError
from realtime_server.protocols.socket_io.packets import (
    MAX_ID,
    RESERVED_EVENTS,
    Packet,
    PacketDecoder,
    PacketLimits,
    PacketType,
    encode_packet,
)
from tests.unit.realtime_server.protocols.socket_io.test_attachments import VALUES
from tests.unit.realtime_server.protocols.socket_io.vectors import (
    VECTORS,
    DecodedVector,
    EncodedVector,
    from_vector,
)

FEWER = settings(max_examples=settings().max_examples // 3)
"""Examples of large values take longer to draw."""
LIMITS = PacketLimits(packet_bytes=1_000_000)
STRICTER = {
    "": Fault.EMPTY,
    "2": Fault.BAD_PAYLOAD,
    "3": Fault.BAD_ID,
    "3[]": Fault.BAD_ID,
    "01": Fault.BAD_ID,
    "0/admin,1": Fault.BAD_ID,
    "4": Fault.BAD_PAYLOAD,
    "41": Fault.BAD_ID,
    '2007["x"]': Fault.BAD_ID,
    '2 ["x"]': Fault.BAD_PAYLOAD,
    '2["\\ud800"]': Fault.BAD_JSON,
    '299999999999999999999["x"]': Fault.BAD_ID,
}
"""Messages that the reference's parser accepts, though no client of it sends them."""

NAMESPACES = st.just("/") | st.text(st.characters(exclude_characters=",", exclude_categories=["Cs"])).map("/".__add__)
NAMES = st.text().filter(lambda name: name not in RESERVED_EVENTS)
IDS = st.integers(0, MAX_ID)


def made(kind: PacketType, namespace: str, identifier: int | None, data: Value, name: str = "") -> Packet:
    """Return a packet with the attachments of its data."""
    document, attachments = extract_attachments(data)
    return Packet(kind, namespace, identifier, document, attachments, name)


PACKETS = st.one_of(
    st.builds(Packet, st.sampled_from([PacketType.CONNECT, PacketType.DISCONNECT]), NAMESPACES),
    st.builds(
        lambda kind, namespace, value: Packet(kind, namespace, None, msgspec.json.encode(value)),
        st.sampled_from([PacketType.CONNECT, PacketType.CONNECT_ERROR]),
        NAMESPACES,
        st.dictionaries(st.text(), st.integers(-(2**63), 2**64 - 1) | st.text(), max_size=3),
    ),
    st.builds(
        lambda namespace, identifier, name, arguments: made(
            PacketType.EVENT, namespace, identifier, [name, *arguments], name
        ),
        NAMESPACES,
        IDS | st.none(),
        NAMES,
        st.lists(VALUES, max_size=3),
    ),
    st.builds(lambda *parts: made(PacketType.ACK, *parts), NAMESPACES, IDS, st.lists(VALUES, max_size=3)),
).filter(lambda packet: len(packet.attachments) <= LIMITS.attachments)


def decoded(*messages: str | bytes, limits: PacketLimits = LIMITS) -> list[Packet]:
    """Return the packets of messages: text as a string, bytes as attachments."""
    decoder = PacketDecoder(limits)
    found = [
        decoder.take_text(message.encode()) if isinstance(message, str) else decoder.take_binary(message)
        for message in messages
    ]
    return [packet for packet in found if packet is not None]


def fault_of(*messages: str | bytes, limits: PacketLimits = LIMITS) -> Fault:
    """Return the fault with which messages are refused."""
    with pytest.raises(PacketError) as caught:
        decoded(*messages, limits=limits)
    return caught.value.fault


def messages_of(vector: DecodedVector | EncodedVector) -> list[str | bytes]:
    """Return the messages of a vector."""
    return [one if isinstance(one, str) else base64.b64decode(one["base64"]) for one in vector.messages]


@pytest.mark.parametrize("vector", VECTORS.decoded, ids=lambda vector: repr(vector.messages))
def test_messages_are_decoded_as_by_the_reference(vector: DecodedVector) -> None:
    """Except for those that it should refuse."""
    messages = messages_of(vector)
    first = messages[0]
    if vector.error is not None:
        assert fault_of(*messages) in Fault
    elif isinstance(first, str) and first in STRICTER:
        assert fault_of(*messages) is STRICTER[first]
    else:
        (packet,) = decoded(*messages)
        (wanted,) = vector.packets
        assert (packet.type, packet.namespace, packet.id) == (wanted.type, wanted.nsp, wanted.id)
        if wanted.data is msgspec.UNSET:
            assert packet.data == b""
        elif packet.attachments:
            assert insert_attachments(packet.data, packet.attachments) == from_vector(wanted.data)
        else:
            assert msgspec.json.decode(packet.data) == wanted.data


def test_everything_stricter_is_recorded() -> None:
    assert set(STRICTER) <= {vector.messages[0] for vector in VECTORS.decoded if isinstance(vector.messages[0], str)}


@pytest.mark.parametrize("vector", VECTORS.encoded, ids=lambda vector: repr(vector.messages))
def test_a_packet_is_encoded_as_by_the_reference(vector: EncodedVector) -> None:
    wanted = vector.packet
    data = b"" if wanted.data is msgspec.UNSET else None
    document, attachments = (data, ()) if data is not None else extract_attachments(from_vector(wanted.data))
    packet = Packet(PacketType(wanted.type), wanted.nsp, wanted.id, document, attachments)
    assert [encode_packet(packet).decode(), *packet.attachments] == messages_of(vector)


@FEWER
@given(PACKETS)
def test_a_packet_is_whole_after_a_round_trip(packet: Packet) -> None:
    assert decoded(encode_packet(packet).decode(), *packet.attachments) == [packet]


def test_the_elements_of_an_event_stay_as_they_were_sent() -> None:
    """A number keeps its form, which a decoded one would lose."""
    (packet,) = decoded('2["a\\u0062", 1.00,{"x":12345678901234567890123} ]')
    assert packet.name == "ab"
    assert [bytes(item) for item in packet.items()] == [b'"a\\u0062"', b"1.00", b'{"x":12345678901234567890123}']


@pytest.mark.parametrize(("text", "name"), [('2["a"]', "a"), ("2[1]", "1"), ("2[ -1.5e3 ,2]", "-1.5e3"), ('2[""]', "")])
def test_the_name_of_an_event_is_a_string_or_a_number(text: str, name: str) -> None:
    (packet,) = decoded(text)
    assert packet.name == name


@pytest.mark.parametrize(
    ("messages", "fault"),
    [
        (["7"], Fault.UNKNOWN_TYPE),
        (["2[true]"], Fault.BAD_PAYLOAD),
        (["2[]"], Fault.BAD_PAYLOAD),
        (['2["a"'], Fault.BAD_JSON),
        (["2[01]"], Fault.BAD_JSON),
        (['2["connect"]'], Fault.RESERVED_EVENT),
        (['2["removeListener"]'], Fault.RESERVED_EVENT),
        (['2["conn\\u0065ct"]'], Fault.RESERVED_EVENT),
        (["1{}"], Fault.BAD_PAYLOAD),
        ([f'2{MAX_ID + 1}["a"]'], Fault.BAD_ID),
        (['5["a"]'], Fault.BAD_ATTACHMENT_COUNT),
        (['50-["a"]'], Fault.BAD_ATTACHMENT_COUNT),
        (['511-["a"]'], Fault.TOO_MANY_ATTACHMENTS),
        ([b"a"], Fault.UNEXPECTED_BINARY),
        (['2["a"]', b"a"], Fault.UNEXPECTED_BINARY),
        (['51-["a"]', '2["a"]'], Fault.UNEXPECTED_TEXT),
        (['51-["a",{"_placeholder":true,"num":1}]', b"a"], Fault.BAD_PLACEHOLDER),
        (['2["a",' + "[" * MAX_NESTING + "]" * MAX_NESTING + "]"], Fault.TOO_DEEP),
    ],
)
def test_a_wrong_packet_has_a_fault(messages: list[str | bytes], fault: Fault) -> None:
    assert fault_of(*messages) is fault


def test_text_is_utf8() -> None:
    for message in (b'2["\xff"]', b'2/\xff,["a"]'):
        with pytest.raises(PacketError) as caught:
            PacketDecoder(LIMITS).take_text(message)
        assert caught.value.fault is Fault.BAD_UTF8


def test_a_packet_is_limited_with_its_attachments() -> None:
    text = '52-["a"]'
    limits = PacketLimits(packet_bytes=len(text) + 4, attachments=2)
    (packet,) = decoded(text, b"ab", b"cd", limits=limits)
    assert packet.attachments == (b"ab", b"cd")
    assert fault_of(text, b"ab", b"cde", limits=limits) is Fault.TOO_LARGE
    assert fault_of('2["' + "a" * 9 + '"]', limits=limits) is Fault.TOO_LARGE
    assert fault_of('53-["a"]', limits=limits) is Fault.TOO_MANY_ATTACHMENTS


def test_packets_follow_each_other() -> None:
    """Each with its own attachments."""
    text = '51-["a",{"_placeholder":true,"num":0}]'
    assert [packet.attachments for packet in decoded(text, b"1", text, b"2", '2["b"]')] == [(b"1",), (b"2",), ()]


def test_after_an_error_nothing_is_kept() -> None:
    decoder = PacketDecoder(LIMITS)
    assert decoder.take_text(b'52-["a"]') is None
    assert decoder.take_binary(b"a") is None
    with pytest.raises(PacketError):
        decoder.take_text(b'2["a"]')
    assert decoder.take_text(b'51-["b"]') is None
    packet = decoder.take_binary(b"b")
    assert packet is not None
    assert packet.attachments == (b"b",)


PIECES = [
    b"2", b"5", b"6", b"0", b"3", b"1-", b"2-", b"/a,", b"/", b",", b"12", b"[", b"]", b"{", b"}", b'"a"', b'"connect"',
    b'"_placeholder":true', b'"num":0', b":", b"1e999", b"\xff", b"-", b" ",
]  # fmt: skip
MESSAGES = st.lists(st.tuples(st.booleans(), st.lists(st.sampled_from(PIECES) | st.binary(max_size=3)).map(b"".join)))


@FEWER
@given(MESSAGES)
def test_no_messages_raise_anything_else(messages: list[tuple[bool, bytes]]) -> None:
    """What is decoded can be encoded, and is the same again."""
    decoder = PacketDecoder(LIMITS)
    for is_text, message in messages:
        try:
            packet = decoder.take_text(message) if is_text else decoder.take_binary(message)
        except PacketError:
            packet = None
            assert not decoder.waits
        if packet is not None:
            assert decoded(encode_packet(packet).decode(), *packet.attachments) == [packet]


@FEWER
@given(PACKETS, st.data())
def test_a_damaged_packet_raises_nothing_else(packet: Packet, data: st.DataObject) -> None:
    text = bytearray(encode_packet(packet))
    place = data.draw(st.integers(0, len(text) - 1))
    text[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    decoder = PacketDecoder(LIMITS)
    with contextlib.suppress(PacketError):
        decoder.take_text(bytes(text))
        for attachment in packet.attachments:
            decoder.take_binary(attachment)


def test_an_event_of_many_elements_takes_no_more_memory_than_its_bytes() -> None:
    """The elements are not decoded before they are asked for."""
    message = b'2["a"' + b",1" * 20_000 + b"]"
    decoder = PacketDecoder(LIMITS)
    tracemalloc.start()
    try:
        assert decoder.take_text(message) is not None
        assert tracemalloc.get_traced_memory()[1] < 5 * len(message)
    finally:
        tracemalloc.stop()
