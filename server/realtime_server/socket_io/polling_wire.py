"""Transport of a client that polls: what is written waits for its next poll."""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import Callable, Iterable

from realtime_server.codes import DisconnectCode
from realtime_server.protocols.socket_io.engine_session import EngineSession

CONGESTED_BYTES = 65_536
"""Waiting bytes from which a client counts as slow, as for a WebSocket."""


class PollingWire:
    """Transport that polls take: implements core's Connection but for reading, which its requests pause.

    `split` takes messages out of frames; `on_overflow` is called when more than `limit` bytes wait, never in `write`.
    """

    __slots__ = ("_engine", "_limit", "_on_overflow", "_scheduled", "_split", "_stopped", "written_bytes")

    def __init__(
        self,
        engine: EngineSession,
        split: Callable[[bytes], Iterable[tuple[bool, bytes]]],
        limit: int,
        on_overflow: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._split = split
        self._limit = limit
        self._on_overflow = on_overflow
        self._scheduled = False
        self._stopped = False
        self.written_bytes = 0

    @property
    def congested(self) -> bool:
        """See Connection."""
        return self._engine.waiting_bytes > CONGESTED_BYTES

    def write(self, frames: bytes) -> None:
        """See Connection."""
        engine = self._engine
        if self._stopped:
            return
        before = engine.waiting_bytes
        for binary, payload in self._split(frames):
            engine.write(b"b" + binascii.b2a_base64(payload, newline=False) if binary else payload)
        self.written_bytes += engine.waiting_bytes - before
        if engine.waiting_bytes > self._limit:
            self._stopped = True
            asyncio.get_running_loop().call_soon(self._on_overflow)
        elif not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush)

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

    def _flush(self) -> None:
        self._scheduled = False
        self._engine.flush()
