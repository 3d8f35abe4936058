"""Immutable values that core, protocols and backplane exchange."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


class StreamPosition(msgspec.Struct, frozen=True, gc=False):
    """Position in a channel's stream: `offset` counts publications from 1, `epoch` names the sequence it counts in."""

    offset: int
    epoch: str


class SequencePosition(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Position in the sequence of all channels of an ordered namespace.

    `number` grows from publication to publication, with gaps; numbers of the same `epoch` can be compared, "" is none.
    """

    number: int
    epoch: str


class ClientInfo(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Public view of a connection, in presence and publications. Both infos are raw JSON, or None."""

    user: str
    client: str
    connection_info: bytes | None = None
    channel_info: bytes | None = None


class Publication(msgspec.Struct, frozen=True, gc=False):
    """Event in a channel, usually a message, see core.model.publication.

    `encoded` is opaque to the backplane. `offset` is 0 for an event that is not kept in a history. `sequence` is None
    where the namespace is not ordered.
    """

    encoded: bytes
    offset: int = 0
    sequence: SequencePosition | None = None


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """Retention of a channel's history: at most `size` publications (> 0), each for `ttl_seconds` (> 0)."""

    size: int
    ttl_seconds: float


class HistoryQuery(msgspec.Struct, frozen=True, gc=False):
    """Selection of a part of a stream.

    `limit`: 0 reads the position alone, a negative number everything that is kept. Reading starts after the offset of
    `since` (before it when `reverse`), or without `since` at the oldest publication (newest when `reverse`).
    """

    limit: int
    since: StreamPosition | None = None
    reverse: bool = False


class HistoryPage(msgspec.Struct, frozen=True, gc=False):
    """Publications in the order asked for, and the position of the stream's newest publication.

    `sequence` is the newest position of the namespace's sequence at that time, None where it is not ordered.
    """

    publications: tuple[Publication, ...]
    position: StreamPosition
    sequence: SequencePosition | None = None


@dataclass(frozen=True, slots=True)
class PresenceStats:
    """Number of connections and of distinct users in a channel."""

    clients: int
    users: int
