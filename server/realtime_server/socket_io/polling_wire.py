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

    __slots__ = ("_due", "_frames", "_packets", "_size", "_split")

    def __init__(self, split: Split) -> None:
        self._split = split
        self._frames = b""
        self._packets: Sequence[bytes] = ()
        self._size = 0
        self._due: dict[EngineSession, None] = {}

    def write(self, engine: EngineSession, frames: bytes) -> int:
        """Queue the messages in frames for the polls of a session; return their size as packets."""
        if frames is not self._frames:
            self._take_apart(frames)
        engine.write(self._packets, self._size)
        if not self._due:
            asyncio.get_running_loop().call_soon(self._flush)
        self._due[engine] = None
        return self._size

    def _take_apart(self, frames: bytes) -> None:
        self._packets = [
            b"b" + binascii.b2a_base64(payload, newline=False) if binary else payload
            for binary, payload in self._split(frames)
        ]
        self._size = sum(map(len, self._packets))
        self._frames = frames

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
        self.written_bytes += self._flusher.write(self._engine, frames)
        if self._engine.waiting_bytes > self._limit:
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
