"""Transport of a client that polls: what is written waits for its next poll."""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

from realtime_server.codes import DisconnectCode
from realtime_server.protocols.socket_io.engine_session import EngineSession

Split: TypeAlias = Callable[[bytes], Iterable[tuple[bool, bytes]]]
"""Function that takes messages out of frames, each with whether it is binary."""
CONGESTED_BYTES = 65_536
"""Waiting bytes from which a client counts as slow, as for a WebSocket."""


class PollingFlusher:
    """State shared by the polling clients of a worker: a publication for many of them is taken apart once.

    The polls that wait are answered in the next iteration of the loop, with all that was written in one.
    """

    __slots__ = ("_due", "_split", "frames", "packets", "size")

    def __init__(self, split: Split) -> None:
        self._split = split
        self._due: dict[EngineSession, None] = {}
        self.frames = b""
        """Frames that were taken apart last: these very bytes, not equal ones."""
        self.packets: Sequence[bytes] = ()
        """Their messages, encoded for polling."""
        self.size = 0
        """Size of the packets."""

    def take_apart(self, frames: bytes) -> None:
        """Set `packets` to those of other frames."""
        self.packets = [
            b"b" + binascii.b2a_base64(payload, newline=False) if binary else payload
            for binary, payload in self._split(frames)
        ]
        self.size = sum(map(len, self.packets))
        self.frames = frames

    def schedule(self, engine: EngineSession) -> None:
        """Have the poll of a session answered in the next iteration of the loop."""
        if not self._due:
            asyncio.get_running_loop().call_soon(self._flush)
        self._due[engine] = None

    def _flush(self) -> None:
        """Answer the polls of all that are due; raise the first error after all were answered."""
        due, self._due = self._due, {}
        failed: Exception | None = None
        for engine in due:
            try:
                engine.flush()
            except Exception as error:  # noqa: BLE001 - one must not keep the others from being answered
                failed = failed or error
        if failed is not None:
            raise failed


class PollingWire:
    """Transport that polls take: implements core's Connection but for reading, which its requests pause.

    `on_overflow` is called when more than `limit` bytes wait, never in `write`.
    """

    __slots__ = ("_engine", "_flusher", "_limit", "_on_overflow", "_stopped", "written_bytes")

    def __init__(
        self, engine: EngineSession, flusher: PollingFlusher, limit: int, on_overflow: Callable[[], None]
    ) -> None:
        self._engine = engine
        self._flusher = flusher
        self._limit = limit
        self._on_overflow = on_overflow
        self._stopped = False
        self.written_bytes = 0

    @property
    def congested(self) -> bool:
        """See Connection."""
        return self._engine.waiting_bytes > CONGESTED_BYTES

    def write(self, frames: bytes) -> None:
        """See Connection."""
        if self._stopped:
            return
        engine, flusher = self._engine, self._flusher
        if frames is not flusher.frames:
            flusher.take_apart(frames)
        if not engine.write(flusher.packets, flusher.size):
            flusher.schedule(engine)
        self.written_bytes += flusher.size
        if engine.waiting_bytes > self._limit:
            self._stopped = True
            asyncio.get_running_loop().call_soon(self._on_overflow)

    def close(self, code: DisconnectCode) -> None:
        """See Connection; the next poll is told by the session."""
        del code
        self._stopped = True

    def unsent(self) -> int:
        """See Connection."""
        return 0

    def unacknowledged(self) -> int:
        """See Connection."""
        return self._engine.waiting_bytes

    def pause_reading(self) -> None:
        """See Connection; requests wait for their answers while their connection is paused."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""
