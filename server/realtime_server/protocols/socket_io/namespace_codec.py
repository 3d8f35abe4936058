"""Codec of one namespace: publications as events, and the packets of its sockets, in the frames of a WebSocket.

All sockets of a namespace share one codec, on every transport: a publication is encoded once. A polling transport takes
the packets out of the frames again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from realtime_server.core.model.publication import Content
from realtime_server.core.model.pushes import Push
from realtime_server.protocols.socket_io.engine_packets import EnginePacket, EngineType, encode_text
from realtime_server.protocols.socket_io.packets import Packet, PacketType, encode_packet, is_event

MESSAGE = "message"
"""Event of a publication that is none itself."""
PLACEHOLDER = b'{"_placeholder":true,"num":0}'
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
    """Codec for all sockets of a namespace: implements core's Codec. The engine pings, for all sockets together."""

    binary = False
    native_pings = False
    unidirectional = False

    def __init__(self, namespace: str, framing: Framing) -> None:
        self.namespace = namespace
        self._framing = framing
        self._event = b"4" + encode_packet(Packet(PacketType.EVENT, namespace))
        binary = Packet(PacketType.EVENT, namespace, data=encode_message(PLACEHOLDER), attachments=(b"",))
        self._announcement = framing.text(b"4" + encode_packet(binary))

    def publication(self, channel: str, content: Content, offset: int) -> bytes:
        """Encode a publication as an event: data that is one, or else the event `message` with the data."""
        del channel, offset
        data = content.data
        if content.binary:
            return self._announcement + self._framing.binary(data)
        return self._framing.text(self._event + (data if is_event(data) else encode_message(data)))

    def delta_publication(self, channel: str, content: Content, offset: int, patch: bytes | None) -> bytes:
        """See Encoder; no client of this protocol asks for deltas."""
        del patch
        return self.publication(channel, content, offset)

    def push(self, channel: str, push: Push) -> bytes:
        """Return nothing: the protocol does not tell clients of their rooms, nor of others in them."""
        del channel, push
        return b""

    def ping(self) -> bytes:
        """Return the ping of the connection."""
        return self._framing.text(encode_text(EnginePacket(EngineType.PING)))

    def packet(self, packet: Packet) -> bytes:
        """Encode a packet with its attachments."""
        text = self._framing.text(b"4" + encode_packet(packet))
        return text + b"".join(map(self._framing.binary, packet.attachments))


def encode_message(data: bytes) -> bytes:
    """Encode the event `message` with JSON as its argument."""
    return b'["message",%b]' % data
