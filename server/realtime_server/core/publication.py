"""A publication is encoded once, where it is published; its offset is put in where it is delivered."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from realtime_server.core.values import ClientInfo, Publication

_encoder = msgspec.json.Encoder()


def encode_publication(data: bytes, *, info: ClientInfo | None = None, tags: Mapping[str, str] | None = None) -> bytes:
    """The JSON object of a publication without its offset, in one line; `data` is raw JSON.

    Line feeds separate replies, so none may be in a publication. In legal JSON they occur between tokens only.
    """
    parts = [b'{"data":', data.replace(b"\n", b" ")]
    if info is not None:
        parts += [b',"info":', encode_client_info(info)]
    if tags:
        parts += [b',"tags":', _encoder.encode(dict(tags))]
    parts.append(b"}")
    return b"".join(parts)


def with_offset(publication: Publication) -> bytes:
    """The JSON object of a publication as a client gets it."""
    if not publication.offset:
        return publication.encoded
    return b'%b,"offset":%d}' % (publication.encoded[:-1], publication.offset)


def encode_client_info(info: ClientInfo) -> bytes:
    """The JSON object that shows a connection."""
    parts = [b'{"user":', _encoder.encode(info.user), b',"client":', _encoder.encode(info.client)]
    if info.connection_info is not None:
        parts += [b',"conn_info":', info.connection_info]
    if info.channel_info is not None:
        parts += [b',"chan_info":', info.channel_info]
    parts.append(b"}")
    return b"".join(parts)
