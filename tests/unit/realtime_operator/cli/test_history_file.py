"""Tests of files with histories: what is written, what is read, and what is no complete export."""

from __future__ import annotations

import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from realtime_operator.cli.history_file import BATCH_BYTES, HistoryEnd, batches, write
from realtime_operator.errors import InputError, PlatformError

LINE = b'{"channel":"chat:lobby","first":true,"publications":[]}\n'
END = b'{"channels":1,"unreadable":["chat:busy"],"error":""}\n'


async def arriving(*blocks: bytes) -> AsyncIterator[bytes]:
    """Yield blocks as a server sends them, which know no lines."""
    for block in blocks:
        yield block


async def test_a_file_is_its_owners_and_has_what_arrived(tmp_path: Path) -> None:
    """A file that everybody can read is replaced, not written to."""
    file = tmp_path / "history"
    file.touch(mode=0o644)
    assert await write(file, arriving(LINE[:10], LINE[10:] + END)) == HistoryEnd(1, ("chat:busy",))
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (LINE + END, 0o600)
    assert list(batches(file)) == [LINE]


@pytest.mark.parametrize(
    ("end", "message"),
    [
        (b"", "has no end"),
        (END[:20], "has no end"),
        (b'{"channels":1,"unreadable":[],"error":"no answer"}\n', "incomplete: no answer"),
    ],
)
async def test_nothing_is_left_of_an_incomplete_export(tmp_path: Path, end: bytes, message: str) -> None:
    """A file that looks like a backup must be one."""
    with pytest.raises(PlatformError, match=message):
        await write(tmp_path / "history", arriving(LINE, end))
    assert not (tmp_path / "history").exists()
    (tmp_path / "history").write_bytes(LINE + end)
    with pytest.raises(InputError, match=f"history: .*{message}"):
        list(batches(tmp_path / "history"))


async def test_a_file_that_cannot_be_written_or_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere/history: cannot be written"):
        await write(tmp_path / "nowhere" / "history", arriving(END))
    with pytest.raises(InputError, match="nothing: cannot be read"):
        list(batches(tmp_path / "nothing"))


async def test_lines_are_sent_in_batches(tmp_path: Path) -> None:
    """As many at once as fit; a longer one is sent alone."""
    half, long = b"x" * (BATCH_BYTES // 2 - 1) + b"\n", b"y" * 2 * BATCH_BYTES + b"\n"
    await write(tmp_path / "history", arriving(half, half, half, long, half, END))
    assert list(batches(tmp_path / "history")) == [half + half, half, long, half]
