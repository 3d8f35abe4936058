"""Server-Sent Events (HTML Living Standard, section 9.2): messages as events of an EventSource.

Commands arrive in the URL (`cf_connect`) or in the body of a POST, and by `/emulation` after that.
"""

from __future__ import annotations

import random

from realtime_server.protocols.centrifuge.json_codec import JsonCodec
from realtime_server.protocols.centrifuge.json_unidirectional import UnidirectionalJsonCodec
from realtime_server.transports.dialect import Encoding
from realtime_server.transports.stream import chunk
from realtime_server.transports.stream_endpoint import StreamKind

PATH = "/connection/sse"
UNIDIRECTIONAL_PATH = "/connection/uni_sse"
METHODS = ("GET", "POST")
CONTENT_TYPE = "text/event-stream"
RETRY_SECONDS = (1.0, 5.0)
"""Range of the pause before an EventSource reconnects, random so that not all reconnect at once."""


def event(message: bytes) -> bytes:
    """Encode an event; the message is one line."""
    return b"data: %b\n\n" % message


def frame_event(message: bytes) -> bytes:
    """Encode an event as one chunk."""
    return chunk(event(message))


def retry_field() -> bytes:
    """Return a `retry` field with a random pause; it is no event."""
    seconds = random.uniform(*RETRY_SECONDS)  # noqa: S311 - spreads clients, nothing depends on it
    return b"retry: %d\n\n" % (seconds * 1000)


def sse() -> StreamKind:
    """Return the transport for SDKs."""
    return StreamKind(
        "sse",
        {Encoding.JSON: JsonCodec(frame_event)},
        {Encoding.JSON: JsonCodec(event)},
        {Encoding.JSON: CONTENT_TYPE},
    )


def unidirectional_sse() -> StreamKind:
    """Return the unidirectional transport, for a browser's EventSource."""
    return StreamKind(
        "uni_sse",
        {Encoding.JSON: UnidirectionalJsonCodec(frame_event)},
        {Encoding.JSON: UnidirectionalJsonCodec(event)},
        {Encoding.JSON: CONTENT_TYPE},
        preamble=retry_field,
        unidirectional=True,
    )
