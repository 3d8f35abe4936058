"""File with exported histories: lines of JSON, one for each part of a stream, and a last one with the counts."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from realtime_operator.api.base import JsonObject
from realtime_operator.errors import InputError, PlatformError

BATCH_BYTES = 1 << 20
"""Size of what is sent at once; a longer line is sent alone."""
END_BYTES = 1 << 22
"""Upper bound of the length of the last line."""


@dataclass(frozen=True, slots=True)
class HistoryEnd:
    """Last line: the number of channels in the file, and those that changed too fast to be exported."""

    channels: int
    unreadable: tuple[str, ...]


async def write(path: Path, blocks: AsyncIterator[bytes]) -> HistoryEnd:
    """Write an export as it arrives, readable by its owner alone; nothing is left when it does not come to its end.

    Raises InputError when the file cannot be written, PlatformError for an incomplete export.
    """
    try:
        opened = _created(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        with opened:
            async for block in blocks:
                opened.write(block)
        return _checked(_last_line(path))
    except BaseException:
        await asyncio.to_thread(path.unlink, missing_ok=True)
        raise


def _created(path: Path) -> BinaryIO:
    """Create a file that only its owner can read, from its first byte on."""
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")


def batches(path: Path) -> Iterator[bytes]:
    """Yield the lines of the parts, some at once. Raises InputError for a file that is no complete export."""
    try:
        _checked(_last_line(path))
        with path.open("rb") as opened:
            batch: list[bytes] = []
            size = 0
            for line in opened:
                if _is_end(line):
                    break
                if batch and size + len(line) > BATCH_BYTES:
                    yield b"".join(batch)
                    batch, size = [], 0
                batch.append(line)
                size += len(line)
            if batch:
                yield b"".join(batch)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except PlatformError as error:
        raise InputError(f"{path}: {error}; export the histories again") from error


def _is_end(line: bytes) -> bool:
    return line.startswith(b'{"channels":')


def _last_line(path: Path) -> bytes:
    with path.open("rb") as opened:
        opened.seek(max(0, path.stat().st_size - END_BYTES))
        return opened.read().rstrip(b"\n").rpartition(b"\n")[2]


def _checked(line: bytes) -> HistoryEnd:
    """Parse the last line; raises PlatformError when it reports an error or is none."""
    try:
        end: JsonObject = json.loads(line)
        error, channels, unreadable = end["error"], end["channels"], end["unreadable"]
    except (ValueError, KeyError, TypeError) as unknown:
        raise PlatformError("the export has no end: it was cut off") from unknown
    if error:
        raise PlatformError(f"the export is incomplete: {error}")
    assert isinstance(channels, int)
    assert isinstance(unreadable, list)
    return HistoryEnd(channels, tuple(map(str, unreadable)))
