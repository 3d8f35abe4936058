"""One platform per state folder: an advisory lock (flock), which the kernel releases when its holder ends."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path
from typing import Self

from realtime_operator.errors import AlreadyRunningError

TRY_SECONDS = 0.3
"""Seconds to retry: a reader of the holder's pid holds the lock for an instant, and a holder may just be ending."""
PAUSE_SECONDS = 0.02


class Lock:
    """Advisory lock, held while the context is entered; raises AlreadyRunningError with the holder's pid."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def __enter__(self) -> Self:
        """Acquire the lock, and write this process's pid into its file."""
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
        """Release the lock."""
        os.ftruncate(self._file, 0)
        os.close(self._file)


def holder(path: Path) -> int | None:
    """Return the pid of the process that holds a lock, None when it is free."""
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
