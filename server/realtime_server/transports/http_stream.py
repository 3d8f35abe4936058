"""HTTP streaming: messages in the endless body of the answer to a POST with the first commands.

JSON messages are lines; Protobuf messages, which a client asks for by its Content-Type, are length-delimited.
"""

from __future__ import annotations

from realtime_server.protocols.centrifuge.json_codec import JsonCodec
from realtime_server.protocols.centrifuge.json_unidirectional import UnidirectionalJsonCodec
from realtime_server.protocols.centrifuge.protobuf_codec import ProtobufCodec
from realtime_server.transports.dialect import Encoding
from realtime_server.transports.http_server import BINARY_TYPE
from realtime_server.transports.stream import chunk
from realtime_server.transports.stream_endpoint import StreamKind

PATH = "/connection/http_stream"
UNIDIRECTIONAL_PATH = "/connection/uni_http_stream"
METHODS = ("POST",)
JSON_TYPE = "application/json"


def line(message: bytes) -> bytes:
    """Return a JSON message, which has no line feed, as a line."""
    return message + b"\n"


def frame_line(message: bytes) -> bytes:
    """Return a JSON message as one chunk."""
    return chunk(line(message))


def http_stream() -> StreamKind:
    """Return the transport for SDKs."""
    return StreamKind(
        "http_stream",
        {Encoding.JSON: JsonCodec(frame_line), Encoding.PROTOBUF: ProtobufCodec(chunk)},
        {Encoding.JSON: JsonCodec(line), Encoding.PROTOBUF: ProtobufCodec(bytes)},
        {Encoding.JSON: JSON_TYPE, Encoding.PROTOBUF: BINARY_TYPE},
    )


def unidirectional_http_stream() -> StreamKind:
    """Return the unidirectional transport, for clients that read a response line by line."""
    return StreamKind(
        "uni_http_stream",
        {Encoding.JSON: UnidirectionalJsonCodec(frame_line)},
        {Encoding.JSON: UnidirectionalJsonCodec(line)},
        {Encoding.JSON: JSON_TYPE},
        unidirectional=True,
    )
