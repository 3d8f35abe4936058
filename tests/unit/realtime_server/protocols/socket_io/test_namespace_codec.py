"""Publications as events."""

from __future__ import annotations

import pytest

from realtime_server.core.model.publication import Content, OrderedContent
from realtime_server.core.model.pushes import MessagePush, UnsubscribePush
from realtime_server.core.model.values import SequencePosition
from realtime_server.protocols.socket_io.namespace_codec import Framing, NamespaceCodec
from realtime_server.protocols.socket_io.packets import Packet, PacketType
from realtime_server.transports.frames import frame_binary, frame_text, split_frames

CODEC = NamespaceCodec("/chat", Framing(frame_text, frame_binary, split_frames))
ROOT = NamespaceCodec("/", Framing(frame_text, frame_binary, split_frames))
RECOVERS = NamespaceCodec("/rooms", Framing(frame_text, frame_binary, split_frames), "rooms")
POSITION = SequencePosition(7, "ab")


@pytest.mark.parametrize(
    ("data", "event"),
    [
        ('["greet",1,{"a":[]}]', '["greet",1,{"a":[]}]'),
        (' [ "greet" ]', ' [ "greet" ]'),
        ('["\\u00e9\\""]', '["\\u00e9\\""]'),
        ('[""]', '[""]'),
        ('{"a":1}', '["message",{"a":1}]'),
        ("null", '["message",null]'),
        ("[]", '["message",[]]'),
        ("[1]", '["message",[1]]'),
        ('[["a"]]', '["message",[["a"]]]'),
        ('["connect",1]', '["message",["connect",1]]'),
        ('["removeListener"]', '["message",["removeListener"]]'),
        ('["\\u0063onnect"]', '["message",["\\u0063onnect"]]'),
        ('["\\ud800x"]', '["message",["\\ud800x"]]'),
        ('"a"', '["message","a"]'),
    ],
)
def test_a_publication_is_an_event(data: str, event: str) -> None:
    """An array that begins with the name of an event is one; a client would break off at a reserved name."""
    content = Content(data.encode())
    assert CODEC.publication("chat:a", content, 7) == frame_text(f"42/chat,{event}".encode())
    assert ROOT.delta_publication("chat:a", content, 7, b"patch") == frame_text(f"42{event}".encode())


def test_binary_data_is_an_attachment() -> None:
    announcement = frame_text(b'451-/chat,["message",{"_placeholder":true,"num":0}]')
    assert CODEC.publication("chat:a", Content(b"\x00\xff", binary=True), 0) == announcement + frame_binary(b"\x00\xff")


@pytest.mark.parametrize(
    ("codec", "number", "text"),
    [
        (CODEC, None, '42/chat,["x","1-1"]'),
        (CODEC, 7, '42/chat,7["x","1-1"]'),
        (RECOVERS, None, '42/rooms,["x","1-1",null]'),
        (RECOVERS, 7, '42/rooms,7["x","1-1"]'),
    ],
)
def test_an_emission_never_ends_with_what_a_client_takes_for_a_position(
    codec: NamespaceCodec, number: int | None, text: str
) -> None:
    """Where it asks for an acknowledgement, the client adds a function at the end."""
    assert codec.emission(b'["x","1-1"]', number=number) == frame_text(text.encode())


def test_packets_of_a_socket_are_framed() -> None:
    """With their attachments; the ping is the connection's."""
    packet = Packet(PacketType.ACK, "/chat", 3, b'[{"_placeholder":true,"num":0}]', (b"x",))
    assert CODEC.packet(packet) == frame_text(b'461-/chat,3[{"_placeholder":true,"num":0}]') + frame_binary(b"x")
    assert CODEC.ping() == frame_text(b"2")


@pytest.mark.parametrize(
    ("push", "frames"),
    [
        (MessagePush(b'["greet",1]'), frame_text(b'42/rooms,["greet",1,null]')),
        (MessagePush(b'"a"'), frame_text(b'42/rooms,["message","a",null]')),
        (
            MessagePush(b"\xff", binary=True),
            frame_text(b'451-/rooms,["message",{"_placeholder":true,"num":0},null]') + frame_binary(b"\xff"),
        ),
    ],
)
def test_a_message_of_the_backend_is_an_event(push: MessagePush, frames: bytes) -> None:
    """As a publication without a position."""
    assert RECOVERS.push("", push) == frames


def test_clients_are_not_told_of_their_rooms() -> None:
    assert CODEC.push("chat:a", UnsubscribePush(2000, "unsubscribed")) == b""


@pytest.mark.parametrize(
    ("data", "event"),
    [
        ('["hi"]', '["hi","ab-7"]'),
        ('["hi",1]  ', '["hi",1,"ab-7"]'),
        ('{"a":1}', '["message",{"a":1},"ab-7"]'),
        ('["connect"]', '["message",["connect"],"ab-7"]'),
    ],
)
def test_an_event_ends_with_its_position_where_sockets_recover(data: str, event: str) -> None:
    content = OrderedContent(data.encode(), sequence=POSITION)
    for channel in ("rooms:a", "$rooms:a"):
        assert RECOVERS.publication(channel, content, 1) == frame_text(f"42/rooms,{event}".encode())


def test_a_binary_event_has_its_position_too() -> None:
    content = OrderedContent(b"\xff", binary=True, sequence=POSITION)
    text = frame_text(b'451-/rooms,["message",{"_placeholder":true,"num":0},"ab-7"]')
    assert RECOVERS.publication("rooms:a", content, 1) == text + frame_binary(b"\xff")


@pytest.mark.parametrize(
    ("channel", "content"),
    [
        ("rooms:a", Content(b'["hi","you"]')),
        ("other:a", OrderedContent(b'["hi","you"]', sequence=POSITION)),
        ("a", OrderedContent(b'["hi","you"]', sequence=POSITION)),
    ],
)
def test_a_client_takes_no_string_for_a_position_that_is_none(channel: str, content: Content) -> None:
    """Neither without history, nor in a room of another namespace: an argument of its own is the last one."""
    assert RECOVERS.publication(channel, content, 0) == frame_text(b'42/rooms,["hi","you",null]')
