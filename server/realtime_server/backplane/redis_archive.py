"""Streams in Redis as they are stored, whatever the version of Redis and the number of partitions.

The parts of a stream that is imported are collected under `import:CHANNEL`, which expires when no more of them come.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from realtime_server.backplane import redis_scripts as scripts
from realtime_server.backplane.redis_partition import Partition
from realtime_server.backplane.redis_reply import Reply, Word, as_bytes, as_int, as_list
from realtime_server.backplane.redis_router import Router
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.values import HistoryOptions
from realtime_server.core.ports.archive import (
    PART_BYTES,
    PART_PUBLICATIONS,
    Imported,
    StoredPublication,
    StreamEnd,
    StreamPart,
)

KEYS_AT_ONCE = 500
IMPORT_MILLISECONDS = 600_000
"""Time without a further part after which an unfinished import is forgotten."""
GLOB = re.compile(rb"([\[\]*?\\^])")


class RedisArchive:
    """Archive over Redis: implements StreamArchive while the broker is started.

    `lifetimes` returns the lifetimes of publications and of a position in milliseconds.
    """

    def __init__(self, router: Router, lifetimes: Callable[[HistoryOptions], tuple[int, int]]) -> None:
        self._router = router
        self._lifetimes = lifetimes

    async def channels(self, cursor: str = "") -> tuple[Sequence[str], str]:
        """Scan the partitions one after the other; see StreamArchive."""
        keys = self._router.keys
        index, _, place = cursor.partition(":")
        partition = self._partition_at(index)
        prefix = keys.named(partition.index, "position", "")
        pattern = GLOB.sub(rb"\\\1", prefix) + b"*"
        following, found = as_list(
            await self._router.call(partition, b"SCAN", place or "0", b"MATCH", pattern, b"COUNT", KEYS_AT_ONCE)
        )
        names = [as_bytes(name)[len(prefix) :].decode() for name in as_list(found)]
        if as_bytes(following) != b"0":
            return names, f"{partition.index}:{as_bytes(following).decode()}"
        return names, f"{partition.index + 1}:0" if partition.index + 1 < keys.partitions else ""

    async def read(self, channel: str, after: int = 0) -> StreamPart | None:
        """Read in one script; see StreamArchive."""
        partition, names = self._names(channel)
        reply = as_list(
            await self._router.run(partition, scripts.ARCHIVE_READ, names[:3], after, PART_PUBLICATIONS, PART_BYTES)
        )
        if not reply:
            return None
        offset, epoch, version, version_epoch, complete, found = reply
        end = StreamEnd(
            as_int(offset),
            as_bytes(epoch).decode(),
            int(as_bytes(version) or b"0"),
            as_bytes(version_epoch).decode(),
        )
        return StreamPart(channel, after == 0, tuple(_publications(found)), end if as_int(complete) else None)

    async def write(self, part: StreamPart, options: HistoryOptions, *, replace: bool) -> Imported | None:
        """Collect the parts, and rename them with the last; see StreamArchive."""
        partition, names = self._names(part.channel)
        if part.first or part.publications:
            words: list[Word] = []
            for one in part.publications:
                words += (one.offset, one.published_at, one.encoded)
            await self._router.run(
                partition, scripts.ARCHIVE_WRITE, names[2:], int(part.first), IMPORT_MILLISECONDS, *words
            )
        end = part.end
        if end is None:
            return None
        outcome = await self._router.run(
            partition, scripts.ARCHIVE_COMMIT, names,
            end.offset, end.epoch, b"%020d" % end.version if end.version else b"", end.version_epoch,
            *self._lifetimes(options), options.size, int(replace),
        )  # fmt: skip
        return Imported(as_bytes(outcome).decode())

    def _names(self, channel: str) -> tuple[Partition, tuple[bytes, bytes, bytes, bytes]]:
        """Return a channel's partition, and the keys of the stream, its position, the generation, and the import."""
        names = self._router.keys.channel(channel)
        partition = self._router.partitions[names.partition]
        return partition, (
            names.stream, names.position, partition.generation, self._router.keys.of(channel, "import")
        )  # fmt: skip

    def _partition_at(self, index: str) -> Partition:
        try:
            return self._router.partitions[int(index or 0)]
        except (ValueError, IndexError) as error:
            raise BackplaneError("no such cursor") from error


def _publications(reply: Reply) -> Iterator[StoredPublication]:
    """Yield the publications in a flat list of offset, time, publication and so on."""
    words = iter(as_list(reply))
    for offset, published_at, encoded in zip(words, words, words, strict=True):
        yield StoredPublication(as_int(offset), as_int(published_at), as_bytes(encoded))
