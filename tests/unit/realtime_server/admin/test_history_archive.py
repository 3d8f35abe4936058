"""Tests of exports while streams change, and of lines that are no export."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from realtime_server.admin.history_archive import ATTEMPTS, ExportEnd, HistoryArchive, HistoryError, ImportCounts
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.values import HistoryOptions
from realtime_server.core.ports.archive import Imported, StoredPublication, StreamEnd, StreamPart

KEPT = HistoryOptions(size=10, ttl_seconds=60)


def part(first: int, last: int, *, ends: bool = False) -> StreamPart:
    """Return a part with the publications of these offsets."""
    publications = tuple(StoredPublication(offset, 1, b"x") for offset in range(first, last + 1))
    return StreamPart("chat", first=first == 1, publications=publications, end=StreamEnd(last, "e") if ends else None)


class ScriptedArchive:
    """Archive that answers reads of the channel `chat` in turn; a list of texts is the reason of a failure."""

    def __init__(self, *answers: StreamPart | BackplaneError | None) -> None:
        self._answers = list(answers)
        self.reads: list[int] = []
        self.written: list[StreamPart] = []

    async def channels(self, cursor: str = "") -> tuple[Sequence[str], str]:
        return (["chat"], "") if cursor else ([], "1")

    async def read(self, channel: str, after: int = 0) -> StreamPart | None:  # noqa: ARG002 - there is one
        self.reads.append(after)
        answer = self._answers.pop(0)
        if isinstance(answer, BackplaneError):
            raise answer
        return answer

    async def write(self, part: StreamPart, options: HistoryOptions, *, replace: bool) -> Imported | None:
        assert (options, replace) == (KEPT, False)
        self.written.append(part)
        return None if part.end is None else Imported.RESTORED


def histories(archive: ScriptedArchive | None) -> HistoryArchive:
    """Return the histories of an archive; channels of `none:` keep none."""
    return HistoryArchive(archive, lambda channel: None if channel.startswith("none:") else KEPT)


async def exported(archive: ScriptedArchive) -> tuple[list[StreamPart], ExportEnd]:
    """Return what an export has."""
    *parts, end = [line async for line in histories(archive).export()]
    return [msgspec.json.decode(line, type=StreamPart) for line in parts], msgspec.json.decode(end, type=ExportEnd)


async def test_a_stream_is_read_part_by_part() -> None:
    archive = ScriptedArchive(part(1, 3), part(4, 5, ends=True))
    assert await exported(archive) == ([part(1, 3), part(4, 5, ends=True)], ExportEnd(1))
    assert archive.reads == [0, 3]


@pytest.mark.parametrize("following", [part(7, 8, ends=True), StreamPart("chat", False, (), StreamEnd(9, "e"))])
async def test_a_stream_that_lost_its_next_part_is_read_again(following: StreamPart) -> None:
    """Its first part says that it is the first, so that what came before it is dropped."""
    again = StreamPart("chat", True, following.publications, following.end)
    parts, end = await exported(ScriptedArchive(part(1, 3), following, again))
    assert (parts, end) == ([part(1, 3), again], ExportEnd(1))


async def test_a_stream_that_always_changes_is_named() -> None:
    answers = [part(1, 3), part(7, 8, ends=True)] * ATTEMPTS
    _, end = await exported(ScriptedArchive(*answers, part(1, 3)))
    assert end == ExportEnd(0, ("chat",))


async def test_a_stream_that_is_gone_is_none() -> None:
    """It expired after its name was read, or between two parts."""
    assert (await exported(ScriptedArchive(None, None)))[1] == ExportEnd(0)
    assert (await exported(ScriptedArchive(part(1, 3), None, None)))[1] == ExportEnd(0)


async def test_a_failure_is_the_last_line() -> None:
    _, end = await exported(ScriptedArchive(part(1, 3), BackplaneError("no answer")))
    assert end == ExportEnd(0, (), "no answer")


async def test_lines_are_stored_where_the_namespace_keeps_something() -> None:
    archive = ScriptedArchive()
    other = StreamPart("none:a", True, (), StreamEnd(0, "e"))
    lines = b"\n".join(map(msgspec.json.encode, (part(1, 2), part(3, 4, ends=True), other)))
    counts = await histories(archive).store(lines, replace=False)
    assert counts == ImportCounts(restored=1, without_history=["none:a"])
    assert archive.written == [part(1, 2), part(3, 4, ends=True)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"", "is no part of an exported history"),
        (b'{"channel":1}', "is no part"),
        (b"[" * 100_000, "is no part"),
        (msgspec.json.encode(StreamPart("a", True, (StoredPublication(0, 1, b""),))), "consecutive numbers from 1 on"),
        (
            msgspec.json.encode(StreamPart("a", True, tuple(StoredPublication(n, 1, b"") for n in (2, 2)))),
            "consecutive numbers",
        ),
        (msgspec.json.encode(StreamPart("a", True, (), StreamEnd(1, "a:b"))), "end.epoch must be"),
        (msgspec.json.encode(StreamPart("a", True, (), StreamEnd(-1, "e"))), "end.offset must be"),
        (msgspec.json.encode(StreamPart("a", True, (StoredPublication(1, 1, b""),), StreamEnd(2, "e"))), "end.offset"),
    ],
)
async def test_what_is_no_export_is_refused(line: bytes, message: str) -> None:
    """The message names the line; nothing of it is stored."""
    archive = ScriptedArchive()
    with pytest.raises(HistoryError, match=f"line 2: .*{message}"):
        await histories(archive).store(msgspec.json.encode(part(1, 1)) + b"\n" + line + b"\n", replace=False)
    assert archive.written == [part(1, 1)]


async def test_without_an_archive_the_reason_is_told() -> None:
    with pytest.raises(HistoryError, match="only those in Redis"):
        await histories(None).store(b"{}", replace=False)
