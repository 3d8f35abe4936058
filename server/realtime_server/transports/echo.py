"""An endpoint that answers each message with itself, so that a fuzzing client can drive the transport. For tests only.

Everything but the answer is that of other clients: handshake, parser, compression, control frames, outbox, limits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from websockets.frames import Opcode

from realtime_server.transports.accelerated import split
from realtime_server.transports.compression import Deflater
from realtime_server.transports.frames import CONTROL, FrameParser, Inflate, frame_binary, frame_text

PATH = "/echo"


class EchoParser(FrameParser):
    """Gives messages back instead of yielding them; control frames it yields."""

    __slots__ = ("_deflater", "_write")

    def __init__(
        self, limit: int, inflate: Inflate | None, deflater: Deflater | None, write: Callable[[bytes], None]
    ) -> None:
        super().__init__(limit, inflate, split)
        self._deflater = deflater
        self._write = write

    def take(self, data: bytes) -> list[tuple[int, bytes]]:
        """See FrameParser."""
        for opcode, payload in super().take(data):
            self._give_back(opcode, payload)
        return []

    def take_rest(self) -> Iterator[tuple[int, bytes]]:
        """See FrameParser."""
        for opcode, payload in super().take_rest():
            if opcode in CONTROL:
                yield opcode, payload
            else:
                self._give_back(opcode, payload)

    def _give_back(self, opcode: int, payload: bytes) -> None:
        if opcode == Opcode.TEXT:
            self._write(frame_text(payload) if self._deflater is None else self._deflater.frame_text(payload))
        else:
            self._write(frame_binary(payload) if self._deflater is None else self._deflater.frame_binary(payload))


class Echo:
    """Makes the parsers of a worker's connections to PATH; `compression_threshold` as in ClientPortSettings."""

    def __init__(self, message_bytes: int, compression_threshold: int | None) -> None:
        self._limit = message_bytes
        self._deflater = None if compression_threshold is None else Deflater(compression_threshold)

    def parser(self, inflate: Inflate | None, write: Callable[[bytes], None]) -> EchoParser:
        """For a connection that `write`s, and has negotiated compression if there is an `inflate`."""
        return EchoParser(self._limit, inflate, None if inflate is None else self._deflater, write)
