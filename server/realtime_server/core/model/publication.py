"""What servers tell each other in a channel: publications, and who joins and leaves.

It is packed once, where it happens, and unpacked once on each server that has subscribers, whatever protocols they
speak.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from realtime_server.core.model.nesting import check_nesting
from realtime_server.core.model.values import ClientInfo, Publication


class Content(msgspec.Struct, tag=1, array_like=True, frozen=True, gc=False):
    """A publication without its position. `data` is JSON in one line, or `binary`: any bytes.

    `info` is who published, None for the API.
    """

    data: bytes
    info: ClientInfo | None = None
    tags: dict[str, str] | None = None
    binary: bool = False


class Joined(msgspec.Struct, tag=2, array_like=True, frozen=True, gc=False):
    """A connection has subscribed."""

    info: ClientInfo


class Left(msgspec.Struct, tag=3, array_like=True, frozen=True, gc=False):
    """A connection is not subscribed any more."""

    info: ClientInfo


Event: TypeAlias = Content | Joined | Left
"""What happens in a channel."""

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)
_UNREADABLE = Content(b"null")


def content_of(data: bytes, *, info: ClientInfo | None = None, tags: Mapping[str, str] | None = None) -> Content:
    """A publication of raw JSON `data`.

    Line feeds separate replies in a message of the JSON protocol, so none may be in it. In legal JSON they occur
    between tokens only.
    """
    return Content(_one_line(data), info, dict(tags) if tags else None)


def binary_content_of(data: bytes, *, info: ClientInfo | None = None, tags: Mapping[str, str] | None = None) -> Content:
    """A publication of any bytes; they count as JSON if they are."""
    found = as_json(data)
    if found is None:
        return Content(data, info, dict(tags) if tags else None, binary=True)
    return Content(found, info, dict(tags) if tags else None)


def as_json(data: bytes) -> bytes | None:
    """The data in one line if it is JSON, else None."""
    try:
        data.decode()  # the JSON decoder does not look into the strings of raw data
        check_nesting(data)
        msgspec.json.decode(data, type=msgspec.Raw)
    except (ValueError, RecursionError):
        return None
    return _one_line(data)


def _one_line(data: bytes) -> bytes:
    return data.replace(b"\n", b" ").replace(b"\r", b" ")


def pack(event: Event) -> bytes:
    """The event as it crosses the backplane."""
    return _encoder.encode(event)


def unpack(packed: bytes) -> Event:
    """The inverse of `pack`.

    What cannot be read (of a foreign writer) is a publication of null: in the order of offsets none may be missing.
    """
    try:
        return _decoder.decode(packed)
    except msgspec.DecodeError:
        return _UNREADABLE


def content_in(publication: Publication) -> Content:
    """The content of a publication of a history, where nothing else is kept."""
    event = unpack(publication.encoded)
    return event if isinstance(event, Content) else _UNREADABLE
