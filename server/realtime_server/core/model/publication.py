"""Events in a channel that servers exchange: publications, joins and leaves.

An event is packed once, where it happens, and unpacked once on each server with subscribers, whatever their protocols.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from realtime_server.core.model.nesting import check_nesting
from realtime_server.core.model.values import ClientInfo, Publication, SequencePosition


class Content(msgspec.Struct, tag=1, array_like=True, frozen=True, gc=False):
    """Publication without its position. `data` is JSON in one line or, if `binary`, arbitrary bytes.

    `info` is the publisher, None for the server API. `trace` is the context of the trace that it is a part of, None
    when that is not sampled (W3C Trace Context, by header).
    """

    data: bytes
    info: ClientInfo | None = None
    tags: dict[str, str] | None = None
    binary: bool = False
    trace: dict[str, str] | None = None


class OrderedContent(Content, frozen=True, gc=False):
    """Publication of an ordered namespace as it is delivered, with its position; it is never packed."""

    sequence: SequencePosition = SequencePosition(0, "")


class Joined(msgspec.Struct, tag=2, array_like=True, frozen=True, gc=False):
    """Event of a connection that has subscribed."""

    info: ClientInfo


class Left(msgspec.Struct, tag=3, array_like=True, frozen=True, gc=False):
    """Event of a connection that has unsubscribed."""

    info: ClientInfo


Event: TypeAlias = Content | Joined | Left
"""Event in a channel."""

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Event] = msgspec.msgpack.Decoder(Event)
_UNREADABLE = Content(b"null")


def content_of(data: bytes, *, info: ClientInfo | None = None, tags: Mapping[str, str] | None = None) -> Content:
    """Make a publication of raw JSON.

    Line feeds separate replies in the JSON protocol, so that `data` must not contain any; in legal JSON they occur
    between tokens only, and are replaced by spaces.
    """
    return Content(_one_line(data), info, dict(tags) if tags else None)


def binary_content_of(data: bytes, *, info: ClientInfo | None = None, tags: Mapping[str, str] | None = None) -> Content:
    """Make a publication of arbitrary bytes, which count as JSON if they are."""
    found = as_json(data)
    if found is None:
        return Content(data, info, dict(tags) if tags else None, binary=True)
    return Content(found, info, dict(tags) if tags else None)


def with_trace(content: Content, trace: Mapping[str, str] | None) -> Content:
    """Return the publication as a part of a trace."""
    return content if trace is None else msgspec.structs.replace(content, trace=dict(trace))


def as_json(data: bytes) -> bytes | None:
    """Return the data in one line if it is JSON, else None."""
    try:
        data.decode()  # the JSON decoder does not validate the strings of raw data
        check_nesting(data)
        msgspec.json.decode(data, type=msgspec.Raw)
    except (ValueError, RecursionError):
        return None
    return _one_line(data)


def _one_line(data: bytes) -> bytes:
    return data.replace(b"\n", b" ").replace(b"\r", b" ")


def pack(event: Event) -> bytes:
    """Encode an event for the backplane."""
    return _encoder.encode(event)


def unpack(packed: bytes) -> Event:
    """Decode an event from the backplane.

    An unreadable one, of a foreign writer, becomes a publication of null: no offset of the stream may be missing.
    """
    try:
        return _decoder.decode(packed)
    except msgspec.DecodeError:
        return _UNREADABLE


def content_in(publication: Publication) -> Content:
    """Return the content of a publication from a history, which holds nothing else."""
    event = unpack(publication.encoded)
    content = event if isinstance(event, Content) else _UNREADABLE
    return content if publication.sequence is None else _ordered(content, publication.sequence)


def _ordered(content: Content, sequence: SequencePosition) -> OrderedContent:
    return OrderedContent(content.data, content.info, content.tags, content.binary, content.trace, sequence)
