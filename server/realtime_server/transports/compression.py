"""permessage-deflate (RFC 7692), without context takeover in either direction.

A compressed message therefore depends on no earlier one: it is made once for all its recipients, and no connection
keeps the state of a compressor.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from websockets.exceptions import NegotiationError
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import PerMessageDeflate, ServerPerMessageDeflateFactory
from websockets.typing import ExtensionParameter

from realtime_server.codes import DisconnectCode
from realtime_server.core.ports.client import Connection
from realtime_server.transports.frames import BINARY, RSV1, TEXT, FrameError, frame, split_frames

# Measured with JSON documents: of 1 KiB to 47%, 4 KiB to 36%, 16 KiB to 32%, 64 KiB to 31%, in 14, 28, 97 and 580 us.
# Level 6 makes 16 KiB 8% and 64 KiB 9% smaller and takes twice and nearly twice as long; level 1 makes them 4% and 5%
# larger and saves 10%. The largest window and memory level make 64 KiB 2% smaller, and take 256 KiB for the compressor
# instead of 32; a client has to keep a window too, of 4 KiB instead of 32.
LEVEL = 3
MEMORY_LEVEL = 5
WINDOW_BITS = 12

_TAIL = b"\x00\x00\xff\xff"
"""End of every flush, which is removed from a message (section 7.2.1)."""
_END = b"\x01\x00\x00\xff\xff"
"""Empty last block, appended to detect a truncated message: it is parsed only after a complete one."""
_ENDED = b"\x00" + _TAIL + _END
"""Unused data after a message that has a last block of its own (section 7.2.3.4)."""


class Negotiation(ServerPerMessageDeflateFactory):
    """Negotiation of client offers, for `websockets`.

    An offer that requires a smaller window than the common one is declined: the connection is not compressed.
    """

    def __init__(self) -> None:
        super().__init__(
            server_no_context_takeover=True, client_no_context_takeover=True, server_max_window_bits=WINDOW_BITS
        )

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        """See ServerExtensionFactory."""
        answer, extension = super().process_request_params(params, accepted_extensions)
        if extension.local_max_window_bits < WINDOW_BITS:
            raise NegotiationError(f"server_max_window_bits below {WINDOW_BITS}")
        return answer, extension


GZIP_BITS = zlib.MAX_WBITS | 16
"""Window of a compressor whose output is in gzip's format."""


class Deflater:
    """Framing for clients with compression: messages of at least `threshold` bytes, if that makes them shorter.

    The same message yields the same frame for all clients.
    """

    def __init__(self, threshold: int) -> None:
        self._threshold = threshold

    def frame_text(self, payload: bytes) -> bytes:
        """See frames.frame_text."""
        return self._frame(TEXT, payload)

    def frame_binary(self, payload: bytes) -> bytes:
        """See frames.frame_binary."""
        return self._frame(BINARY, payload)

    def _frame(self, first: int, payload: bytes) -> bytes:
        if len(payload) >= self._threshold:
            deflated = deflate(payload)
            if len(deflated) < len(payload):
                return frame(first | RSV1, deflated)
        return frame(first, payload)


class DeflatedFrames:
    """Compression of frames that were made for clients with and without it; see Deflater.

    Frames that many clients get one after the other are compressed once.
    """

    def __init__(self, threshold: int) -> None:
        self._deflater = Deflater(threshold)
        self._threshold = threshold
        self._frames = self._deflated = b""

    def of(self, frames: bytes) -> bytes:
        """Return the frames for clients with compression."""
        if len(frames) < self._threshold:
            return frames
        if frames is not self._frames:
            deflater = self._deflater
            self._deflated = b"".join(
                deflater.frame_binary(payload) if binary else deflater.frame_text(payload)
                for binary, payload in split_frames(frames)
            )
            self._frames = frames
        return self._deflated


class DeflatingConnection:
    """WebSocket whose frames are compressed: implements core's Connection."""

    __slots__ = ("_connection", "_frames")

    def __init__(self, connection: Connection, frames: DeflatedFrames) -> None:
        self._connection = connection
        self._frames = frames

    def write(self, frames: bytes) -> None:
        """See Connection."""
        self._connection.write(self._frames.of(frames))

    def close(self, code: DisconnectCode) -> None:
        """See Connection."""
        self._connection.close(code)

    @property
    def congested(self) -> bool:
        """See Connection."""
        return self._connection.congested

    def unsent(self) -> int:
        """See Connection."""
        return self._connection.unsent()

    @property
    def written_bytes(self) -> int:
        """See Connection; compressed ones."""
        return self._connection.written_bytes

    def unacknowledged(self) -> int:
        """See Connection."""
        return self._connection.unacknowledged()

    def pause_reading(self) -> None:
        """See Connection."""
        self._connection.pause_reading()

    def resume_reading(self) -> None:
        """See Connection."""
        self._connection.resume_reading()


def gzipped(body: bytes) -> bytes:
    """Return the body of an HTTP answer with the content coding gzip."""
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, GZIP_BITS, MEMORY_LEVEL)
    return compressor.compress(body) + compressor.flush()


def deflate(message: bytes) -> bytes:
    """Return the payload of a compressed message."""
    compressor = zlib.compressobj(LEVEL, zlib.DEFLATED, -WINDOW_BITS, MEMORY_LEVEL)
    return (compressor.compress(message) + compressor.flush(zlib.Z_SYNC_FLUSH)).removesuffix(_TAIL)


def inflate(payload: bytes, limit: int) -> bytes:
    """Decompress a client's message, producing at most `limit` bytes and one.

    Raises FrameError 1009 for a longer message, 1002 for invalid or incomplete DEFLATE data. Of several blocks only the
    last one may be marked as last (BFINAL): everything after another one would have to be parsed repeatedly.
    """
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        message = decompressor.decompress(payload + _TAIL + _END, limit + 1)
    except zlib.error as error:
        raise FrameError(1002, "invalid compressed data") from error
    if len(message) > limit:
        raise FrameError(1009, "message too big")
    if not decompressor.eof or decompressor.unused_data not in (b"", _ENDED):
        raise FrameError(1002, "incomplete compressed data")
    return message
