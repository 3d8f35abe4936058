"""Positions that a client resumes from, in one channel or in several.

As text: `since=OFFSET&epoch=EPOCH` for a route with one channel to resume; `since=OFFSET:EPOCH:CHANNEL`, once for each
channel; and the ids of events, `OFFSET:EPOCH`, or for several channels `OFFSET:EPOCH:TAG,...` with `tag_of` each.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from realtime_server.core.model.namespaces import MAX_CHANNEL_BYTES
from realtime_server.core.model.values import StreamPosition

SINCE, EPOCH = "since", "epoch"
MAX_POSITIONS = 64
LOST = StreamPosition(0, "-")
"""Position from which nothing can be recovered, in place of one whose channel is not known."""
_OFFSET = re.compile(r"[0-9]{1,16}")
_EPOCH = re.compile(r"[!-~]{1,128}")
_OF_CHANNEL = re.compile(r"([0-9]{1,16}):([!-9;-~]{1,128}):(.+)", re.DOTALL)
_OF_TAG = re.compile(r"([0-9]{1,16}):([!-+\--9;-~]{1,128}):([0-9a-f]{8})")


class ResumptionError(Exception):
    """Position that cannot be understood; the text says what is wrong, without the client's input."""


class Resumption(NamedTuple):
    """Positions by the tags of their channels; `one` is that of any other channel. `is_event`: of an event's id."""

    one: StreamPosition | None = None
    by_tag: Mapping[str, StreamPosition] = {}
    is_event: bool = False

    def of(self, channel: str) -> StreamPosition | None:
        """Return the position in a channel, None where the client has none."""
        return self.by_tag.get(tag_of(channel), self.one)


def tag_of(channel: str) -> str:
    """Return what stands for a channel in the ids of events, whose size is limited as that of every header."""
    return hashlib.sha256(channel.encode()).hexdigest()[:8]


def event_id(offset: int, epoch: str) -> str:
    """Return the id of an event of a route with one channel."""
    return f"{offset}:{epoch}"


def event_id_of(positions: Mapping[str, StreamPosition]) -> str:
    """Return the id of an event after which a client is at these positions, by the tags of their channels."""
    return ",".join(f"{at.offset}:{at.epoch}:{tag}" for tag, at in positions.items())


def read_since(since: Sequence[str], epoch: Sequence[str]) -> Resumption | None:
    """Return the positions in the parameters of a URL, None for none. Raises ResumptionError."""
    if not since:
        return None
    if len(since) == 1 and ":" not in since[0]:
        return Resumption(_one(since[0], epoch))
    if len(since) > MAX_POSITIONS:
        raise ResumptionError(f"{SINCE} is given more than {MAX_POSITIONS} times")
    found = [_OF_CHANNEL.fullmatch(each) for each in since]
    positions = {tag_of(one[3]): StreamPosition(int(one[1]), one[2]) for one in found if one is not None}
    if None in found or any(one is not None and len(one[3].encode()) > MAX_CHANNEL_BYTES for one in found):
        raise ResumptionError(
            f"{SINCE} must be OFFSET:EPOCH:CHANNEL for each of several channels, as messages have them"
        )
    if len(positions) < len(since):
        raise ResumptionError(f"{SINCE} must be given once for each channel")
    if epoch:
        raise ResumptionError(f"{EPOCH} is for {SINCE} with an offset alone")
    return Resumption(by_tag=positions)


def read_event_id(ident: str) -> Resumption:
    """Return the positions in the id of an event. Raises ResumptionError."""
    parts = ident.split(",", MAX_POSITIONS)
    found = [match for part in parts if (match := _OF_TAG.fullmatch(part))]
    if len(found) == len(parts) <= MAX_POSITIONS:
        positions = {one[3]: StreamPosition(int(one[1]), one[2]) for one in found}
        return Resumption(by_tag=positions, is_event=True)
    offset, _, epoch = ident.partition(":")
    if not _OFFSET.fullmatch(offset) or not epoch or not _EPOCH.fullmatch(epoch):
        raise ResumptionError("Last-Event-ID must be the id of an event of this route")
    return Resumption(StreamPosition(int(offset), epoch), is_event=True)


def _one(since: str, epoch: Sequence[str]) -> StreamPosition:
    if len(epoch) > 1:
        raise ResumptionError(f"{SINCE} and {EPOCH} must be given once")
    if not _OFFSET.fullmatch(since):
        raise ResumptionError(f"{SINCE} must be an offset: a number, as messages have it")
    if not epoch or not epoch[0]:
        raise ResumptionError(f"{SINCE} needs {EPOCH}: offsets begin again when a stream is lost")
    if not _EPOCH.fullmatch(epoch[0]):
        raise ResumptionError(f"{EPOCH} must be that of a message")
    return StreamPosition(int(since), epoch[0])
