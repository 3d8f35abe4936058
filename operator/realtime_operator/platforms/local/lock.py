"""One platform per state folder: an advisory lock (flock) that the kernel releases when its holder ends, however."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Self

from realtime_operator.errors import AlreadyRunningError

TRY_SECONDS = 0.3
"""Whoever asks for the holder holds it for an instant, and a holder that ends is not gone at once."""
PAUSE_SECONDS = 0.02


class Lock:
    """Held from `__enter__` to `__exit__`; raises AlreadyRunningError with the holder's pid."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def __enter__(self) -> Self:
        """Take it, and write this process' pid into it."""
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not self._taken():
            holder = os.read(self._file, 32).decode().strip()
            os.close(self._file)
            raise AlreadyRunningError(
                f"{self._path.parent} is used by process {holder}, which runs already:"
                f" stop it (kill {holder}), or choose another folder with --state-dir and other ports"
            )
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)
        return self

    def _taken(self) -> bool:
        deadline = time.monotonic() + TRY_SECONDS
        while True:
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    return False
                time.sleep(PAUSE_SECONDS)
            else:
                return True

    def __exit__(self, *_: object) -> None:
        """Give it back."""
        os.ftruncate(self._file, 0)
        os.close(self._file)


def holder(path: Path) -> int | None:
    """The pid of the process that holds a lock, None when nobody does."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(file, 32).decode().strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(file)
    return None
