"""An endpoint that answers each message with itself, so that a fuzzing client can drive the transport. For tests only.

Everything but the answer is that of other clients: handshake, parser, compression, control frames, outbox, limits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from websockets.frames import Opcode

from realtime_server.transports.compression import Deflater
from realtime_server.transports.frames import FrameParser, Inflate, frame_binary, frame_text

PATH = "/echo"


class EchoParser(FrameParser):
    """Gives messages back instead of yielding them; control frames it yields."""

    __slots__ = ("_deflater", "_write")

    def __init__(
        self, limit: int, inflate: Inflate | None, deflater: Deflater | None, write: Callable[[bytes], None]
    ) -> None:
        super().__init__(limit, inflate)
        self._deflater = deflater
        self._write = write

    def feed(self, data: bytes) -> Iterator[tuple[Opcode, bytes]]:
        """See FrameParser."""
        for opcode, payload in super().feed(data):
            if opcode is Opcode.TEXT:
                self._write(frame_text(payload) if self._deflater is None else self._deflater.frame_text(payload))
            elif opcode is Opcode.BINARY:
                self._write(frame_binary(payload) if self._deflater is None else self._deflater.frame_binary(payload))
            else:
                yield opcode, payload


class Echo:
    """Makes the parsers of a worker's connections to PATH; `compression_threshold` as in ClientPortSettings."""

    def __init__(self, message_bytes: int, compression_threshold: int | None) -> None:
        self._limit = message_bytes
        self._deflater = None if compression_threshold is None else Deflater(compression_threshold)

    def parser(self, inflate: Inflate | None, write: Callable[[bytes], None]) -> EchoParser:
        """For a connection that `write`s, and has negotiated compression if there is an `inflate`."""
        return EchoParser(self._limit, inflate, None if inflate is None else self._deflater, write)
