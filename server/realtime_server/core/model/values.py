"""The values that core, protocols and backplane exchange. All immutable."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec


class StreamPosition(msgspec.Struct, frozen=True, gc=False):
    """A place in a channel's stream: `offset` counts publications from 1, `epoch` names the sequence it counts in."""

    offset: int
    epoch: str


class ClientInfo(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Who a connection is, as presence and publications show it. The two infos are raw JSON, or None."""

    user: str
    client: str
    connection_info: bytes | None = None
    channel_info: bytes | None = None


class Publication(msgspec.Struct, frozen=True, gc=False):
    """Something that happened in a channel: a message as a rule, see core.model.publication.

    `encoded` is what was packed where it happened; the backplane does not look into it. `offset` is 0 for what is not
    kept in a history.
    """

    encoded: bytes
    offset: int = 0


@dataclass(frozen=True, slots=True)
class HistoryOptions:
    """How much of a channel is kept: at most `size` publications (> 0), each for `ttl_seconds` (> 0)."""

    size: int
    ttl_seconds: float


class HistoryQuery(msgspec.Struct, frozen=True, gc=False):
    """Which part of a stream is wanted.

    `limit`: 0 asks for the position alone, a negative number for all that is kept. `since` starts after that offset
    (before it when `reverse`); without it from the oldest (newest when `reverse`).
    """

    limit: int
    since: StreamPosition | None = None
    reverse: bool = False


class HistoryPage(msgspec.Struct, frozen=True, gc=False):
    """Publications in the order asked for, and the position of the newest publication of the stream."""

    publications: tuple[Publication, ...]
    position: StreamPosition


@dataclass(frozen=True, slots=True)
class PresenceStats:
    """How many connections and how many different users a channel has."""

    clients: int
    users: int
