"""What the reference's parsers made of packets, recorded by tests/fixtures/socket_io/record.cjs."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec

from realtime_server.protocols.socket_io.attachments import Value

FILE = Path(__file__).parents[4] / "fixtures" / "socket_io" / "vectors.json"


class EnginePacketVector(msgspec.Struct):
    """Packet of Engine.IO; its type is "error" where the reference refused what follows."""

    type: str
    data: str | dict[str, str] = ""


class PayloadVector(msgspec.Struct):
    """Body of long polling, and its packets."""

    body: str
    packets: list[EnginePacketVector]


class EncodedEngineVector(msgspec.Struct):
    """Packet, and the body that has it alone."""

    packet: EnginePacketVector
    body: str


class PacketVector(msgspec.Struct):
    """Packet of Socket.IO; bytes in its data are objects with `base64`."""

    type: int
    nsp: str
    id: int | None = None
    data: object = msgspec.UNSET


class DecodedVector(msgspec.Struct):
    """Messages, the packets that they are, and the error after these."""

    messages: list[str | dict[str, str]]
    packets: list[PacketVector]
    error: str | None = None


class EncodedVector(msgspec.Struct):
    """Packet, and the messages that it becomes."""

    packet: PacketVector
    messages: list[str | dict[str, str]]


class Vectors(msgspec.Struct):
    """All vectors."""

    versions: dict[str, str]
    engine_payloads: list[PayloadVector]
    engine_packets: list[EncodedEngineVector]
    decoded: list[DecodedVector]
    encoded: list[EncodedVector]


VECTORS = msgspec.json.decode(FILE.read_bytes().replace(rb'"\ud800"', b'"?"'), type=Vectors)


def from_vector(value: object) -> Value:
    """Return a value of a vector with its bytes."""
    if isinstance(value, dict):
        if set(value) == {"base64"}:
            return base64.b64decode(value["base64"])
        return {str(key): from_vector(one) for key, one in value.items()}
    if isinstance(value, list):
        return [from_vector(one) for one in value]
    assert value is None or isinstance(value, bool | int | float | str)
    return value
