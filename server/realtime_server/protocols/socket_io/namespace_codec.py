"""Codec of one namespace: publications as events, and the packets of its sockets, in the frames of a WebSocket.

All sockets of a namespace share one codec, on every transport: a publication is encoded once. A polling transport takes
the packets out of the frames again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from realtime_server.core.model.namespaces import DEFAULT, namespace_of
from realtime_server.core.model.publication import Content, OrderedContent
from realtime_server.core.model.pushes import MessagePush, Push
from realtime_server.protocols.socket_io.engine_packets import EnginePacket, EngineType, encode_text
from realtime_server.protocols.socket_io.packets import Packet, PacketType, encode_packet, is_event
from realtime_server.protocols.socket_io.positions import encode_position

MESSAGE = "message"
"""Event of a publication that is none itself."""
PLACEHOLDER = b'{"_placeholder":true,"num":0}'
_NUMBERED = b'{"_placeholder":true,"num":%d}'
Frame: TypeAlias = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Framing:
    """Frames of a WebSocket: how `text` and `binary` messages are framed, and `split` into (is binary, payload)."""

    text: Frame
    binary: Frame
    split: Callable[[bytes], Iterable[tuple[bool, bytes]]]

    def engine_packet(self, packet: EnginePacket) -> bytes:
        """Frame a packet of Engine.IO."""
        return self.binary(packet.data) if packet.binary else self.text(encode_text(packet))


class NamespaceCodec:
    """Codec for all sockets of a namespace: implements core's Codec. The engine pings, for all sockets together.

    `ordered`: the namespace of channels whose publications have the position from which a socket recovers, "" for none.
    There, each event has one more argument, the last: its position, null without one. Clients take a string for one.
    """

    binary = False
    native_pings = False
    unidirectional = False

    def __init__(self, namespace: str, framing: Framing, ordered: str = "") -> None:
        self.namespace = namespace
        self._ordered = ordered
        self._framing = framing
        self._event = b"4" + encode_packet(Packet(PacketType.EVENT, namespace))
        self._binary_event = b"4" + encode_packet(Packet(PacketType.EVENT, namespace, attachments=(b"",)))
        self._announcement = framing.text(self._binary_event + encode_message(PLACEHOLDER))

    def publication(self, channel: str, content: Content, offset: int) -> bytes:
        """Encode a publication as an event: data that is one, or else the event `message` with the data."""
        del offset
        if content.binary:
            announcement = self._announcement
            if self._ordered:
                announcement = self._framing.text(self._binary_event + self.event(channel, content))
            return announcement + self._framing.binary(content.data)
        return self._framing.text(self._event + self.event(channel, content))

    def event(self, channel: str, content: Content, *, attachment: int = 0) -> bytes:
        """Encode a publication as name and arguments, in a JSON array; `attachment`: the number of binary data."""
        data = content.data
        if content.binary:
            event = encode_message(_NUMBERED % attachment)
        else:
            event = data if is_event(data) else encode_message(data)
        return self._with_position(channel, content, event) if self._ordered else event

    def emission(self, data: bytes, attachments: tuple[bytes, ...] = (), number: int | None = None) -> bytes:
        """Encode an event that is no publication, from the array of its name and its arguments.

        `number`: id of the acknowledgement that it asks for. With one, clients take no argument for a position, so that
        none is added.
        """
        if self._ordered and number is None:
            data = _with_last(data, b"null")
        return self.packet(Packet(PacketType.EVENT, self.namespace, number, data, attachments))

    def _with_position(self, channel: str, content: Content, event: bytes) -> bytes:
        """Return the event with its position as the last argument."""
        position = b"null"
        if isinstance(content, OrderedContent) and (namespace_of(channel) or DEFAULT) == self._ordered:
            position = b'"%b"' % encode_position(content.sequence).encode()
        return _with_last(event, position)

    def delta_publication(self, channel: str, content: Content, offset: int, patch: bytes | None) -> bytes:
        """See Encoder; no client of this protocol asks for deltas."""
        del patch
        return self.publication(channel, content, offset)

    def push(self, channel: str, push: Push) -> bytes:
        """Encode a message of the backend as a publication; clients are not told of rooms, nor of others in them."""
        if isinstance(push, MessagePush):
            return self.publication(channel, Content(push.data, binary=push.binary), 0)
        return b""

    def ping(self) -> bytes:
        """Return the ping of the connection."""
        return self._framing.text(encode_text(EnginePacket(EngineType.PING)))

    def packet(self, packet: Packet) -> bytes:
        """Encode a packet with its attachments."""
        text = self._framing.text(b"4" + encode_packet(packet))
        return text + b"".join(map(self._framing.binary, packet.attachments))


def _with_last(event: bytes, argument: bytes) -> bytes:
    return event.rstrip()[:-1] + b"," + argument + b"]"


def encode_message(data: bytes) -> bytes:
    """Encode the event `message` with JSON as its argument."""
    return b'["message",%b]' % data
