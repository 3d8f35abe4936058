"""Centrifugo's unidirectional client protocol in JSON, for clients without an SDK.

The client sends one connect request; each message to it is one push, without the envelope of the bidirectional
protocol. Source: Centrifugo's documentation, "Unidirectional client protocol".
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from realtime_server.codes import ErrorCode
from realtime_server.core.model.commands import Command, ConnectRequest, Result
from realtime_server.core.model.nesting import check_nesting
from realtime_server.core.model.publication import Content
from realtime_server.core.model.pushes import Push
from realtime_server.protocols.centrifuge.json_codec import (
    PING,
    encode_delta,
    encode_publication_in,
    encode_pushed,
    encode_result,
)
from realtime_server.protocols.centrifuge.json_values import encode_content

_decoder: msgspec.json.Decoder[ConnectRequest] = msgspec.json.Decoder(ConnectRequest)
_encoder = msgspec.json.Encoder()
COMMAND = 1
"""Id of the only command; the client never sees it."""


def decode_connect(message: bytes) -> tuple[Command, ...] | None:
    """Decode a connect request as a command; None when it is malformed. An empty message is an empty request."""
    try:
        message.decode()  # the JSON decoder does not validate the strings of raw data
        check_nesting(message)
        return (Command(COMMAND, connect=_decoder.decode(message.strip() or b"{}")),)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class UnidirectionalJsonCodec:
    """The Codec of this protocol over a transport; `frame` turns one message into the transport's bytes.

    `native_ping`: the transport's own ping, ready to be written, where the client wants that one.
    """

    binary = False
    unidirectional = True

    def __init__(self, frame: Callable[[bytes], bytes], *, native_ping: bytes | None = None) -> None:
        self.native_pings = native_ping is not None
        self._frame = frame
        self._ping = native_ping or frame(PING)

    def decode(self, message: bytes) -> tuple[Command, ...] | None:
        """See Codec."""
        return decode_connect(message)

    def reply(self, command: int, result: Result) -> bytes:
        """See Codec. The reply to connect, the only command, is encoded as a push."""
        del command
        return self._frame(b'{"%b":%b}' % encode_result(result))

    def error(self, command: int, error: ErrorCode) -> bytes:
        """See Codec. Unused by sessions, which disconnect a unidirectional client on an error."""
        del command
        return self._frame(_encoder.encode({"error": {"code": error.code, "message": error.message}}))

    def publication(self, channel: str, content: Content, offset: int) -> bytes:
        """See Codec."""
        return self._frame(encode_publication_in(channel, encode_content(content, offset)))

    def delta_publication(self, channel: str, content: Content, offset: int, patch: bytes | None) -> bytes:
        """See Codec."""
        return self._frame(encode_publication_in(channel, encode_delta(content, offset, patch)))

    def push(self, channel: str, push: Push) -> bytes:
        """See Codec."""
        return self._frame(encode_pushed(channel, push))

    def ping(self) -> bytes:
        """See Codec."""
        return self._ping
