"""Export and import of all histories as lines of JSON: one for each part of a stream, the last one with the counts."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from itertools import pairwise

import msgspec
from aiohttp import web

from realtime_server.admin.responses import error_response
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.values import HistoryOptions
from realtime_server.core.ports.archive import Imported, StreamArchive, StreamPart

ATTEMPTS = 5
"""How often a stream is read from its beginning, when publications are removed faster than they are read."""
EPOCH = re.compile("[0-9A-Za-z]{1,64}")
MAX_OFFSET = 2**53
"""Bound up to which Redis' scripts count exactly."""
UNAVAILABLE = "histories are in the memory of this server alone: only those in Redis can be exported and imported"


class HistoryError(Exception):
    """Import of something that is no exported history, or a server that has none to export; the text says which."""


class ExportEnd(msgspec.Struct, frozen=True):
    """Last line of an export: the number of complete streams, and the channels that changed too fast to be read.

    `error` is the reason why streams are missing, "" when none is.
    """

    channels: int
    unreadable: tuple[str, ...] = ()
    error: str = ""


class ImportCounts(msgspec.Struct):
    """Numbers of imported streams; names of the channels whose stream was not stored, by reason."""

    restored: int = 0
    present: int = 0
    occupied: list[str] = []
    incomplete: list[str] = []
    without_history: list[str] = []


class HistoryArchive:
    """Histories of a cluster; `options_of` returns what a channel's namespace keeps, None where it keeps nothing."""

    def __init__(self, archive: StreamArchive | None, options_of: Callable[[str], HistoryOptions | None]) -> None:
        self._archive = archive
        self._options_of = options_of

    async def export(self) -> AsyncIterator[bytes]:
        """Yield the lines of all streams. Raises HistoryError without an archive."""
        archive, count, unreadable, error = self._available(), 0, [], ""
        try:
            async for channel in _channels(archive):
                complete = False
                async for part in _parts(archive, channel):
                    complete = part.end is not None
                    yield msgspec.json.encode(part) + b"\n"
                if complete:
                    count += 1
                elif await archive.read(channel) is not None:
                    unreadable.append(channel)
        except BackplaneError as failure:
            error = str(failure)
        yield msgspec.json.encode(ExportEnd(count, tuple(unreadable), error)) + b"\n"

    async def store(self, lines: bytes, *, replace: bool) -> ImportCounts:
        """Store some lines of an export, except for its last one. Raises HistoryError, BackplaneError."""
        archive, counts = self._available(), ImportCounts()
        for number, line in enumerate(lines.splitlines(), 1):
            part = _parsed(line, number)
            options = self._options_of(part.channel)
            if options is not None:
                _count(counts, part.channel, await archive.write(part, options, replace=replace))
            elif part.end is not None:
                counts.without_history.append(part.channel)
        return counts

    def _available(self) -> StreamArchive:
        if self._archive is None:
            raise HistoryError(UNAVAILABLE)
        return self._archive


async def _channels(archive: StreamArchive) -> AsyncIterator[str]:
    cursor = ""
    while True:
        channels, cursor = await archive.channels(cursor)
        for channel in channels:
            yield channel
        if not cursor:
            return


async def _parts(archive: StreamArchive, channel: str) -> AsyncIterator[StreamPart]:
    """Yield the parts of a stream, once more from the first one when what follows was removed meanwhile."""
    for _ in range(ATTEMPTS):
        after = 0
        while (part := await archive.read(channel, after)) is not None:
            if after and not _follows(part, after):
                break
            yield part
            if part.end is not None:
                return
            after = part.publications[-1].offset
        else:
            return


def _follows(part: StreamPart, after: int) -> bool:
    if part.publications:
        return part.publications[0].offset == after + 1
    return part.end is not None and part.end.offset == after


def _parsed(line: bytes, number: int) -> StreamPart:
    try:
        part = msgspec.json.decode(line, type=StreamPart)
    except (msgspec.DecodeError, RecursionError) as error:
        raise HistoryError(f"line {number}: is no part of an exported history: {error}") from error
    offsets = [one.offset for one in part.publications]
    if any(after - before != 1 for before, after in pairwise(offsets)) or not all(0 < n <= MAX_OFFSET for n in offsets):
        raise HistoryError(f"line {number}: offsets must be consecutive numbers from 1 on")
    if part.end is not None:
        if EPOCH.fullmatch(part.end.epoch) is None:
            raise HistoryError(f"line {number}: end.epoch must be 1 to 64 letters and digits")
        if not 0 <= part.end.offset <= MAX_OFFSET or (offsets and part.end.offset != offsets[-1]):
            raise HistoryError(f"line {number}: end.offset must be the offset of the last publication")
    return part


def _count(counts: ImportCounts, channel: str, outcome: Imported | None) -> None:
    match outcome:
        case Imported.RESTORED:
            counts.restored += 1
        case Imported.PRESENT:
            counts.present += 1
        case Imported.OCCUPIED:
            counts.occupied.append(channel)
        case Imported.INCOMPLETE:
            counts.incomplete.append(channel)


def add_routes(site: web.Application, histories: HistoryArchive) -> None:
    """Add `GET /history`, which answers with the lines of an export, and `POST /history`, which stores such lines."""

    async def export(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/jsonl"})
        try:
            async for line in histories.export():
                if not response.prepared:
                    await response.prepare(request)
                await response.write(line)
        except HistoryError as error:
            return error_response(409, str(error))
        return response

    async def store(request: web.Request) -> web.StreamResponse:
        try:
            counts = await histories.store(await request.read(), replace=request.query.get("replace") == "true")
        except HistoryError as error:
            return error_response(409 if str(error) == UNAVAILABLE else 400, str(error))
        except BackplaneError as error:
            return error_response(503, str(error))
        return web.Response(body=msgspec.json.encode(counts), content_type="application/json")

    site.router.add_get("/history", export)
    site.router.add_post("/history", store)
