"""Shared memory in which the supervisor notes which workers run; the admin process, forked from it, reads it."""

from __future__ import annotations

import mmap
import struct
import time

_NUMBER = struct.Struct("q")


class SharedWorkerState:
    """State of the workers: one writer (the supervisor), any number of readers in processes forked from it."""

    def __init__(self, workers: int) -> None:
        self.started_at = time.monotonic()
        self._workers = workers
        self._memory = mmap.mmap(-1, _NUMBER.size * (1 + workers))

    @property
    def restarts(self) -> int:
        """Number of starts of a worker after it had died."""
        return self._read(0)

    def count_restart(self) -> None:
        """Count one more restart."""
        self._write(0, self.restarts + 1)

    def running(self, worker: int) -> bool:
        """Return True while the process of this worker runs."""
        return bool(self._read(1 + worker))

    def set_running(self, worker: int, running: bool) -> None:
        """Record that the process of this worker runs, or has ended."""
        self._write(1 + worker, int(running))

    @property
    def all_running(self) -> bool:
        """True while the processes of all workers run."""
        return all(self.running(worker) for worker in range(self._workers))

    def _read(self, index: int) -> int:
        (number,) = _NUMBER.unpack_from(self._memory, index * _NUMBER.size)
        return int(number)

    def _write(self, index: int, number: int) -> None:
        _NUMBER.pack_into(self._memory, index * _NUMBER.size, number)
