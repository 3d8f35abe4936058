"""JSON objects of publications and clients, as clients and callers of the server API receive them."""

from __future__ import annotations

import base64

import msgspec

from realtime_server.core.model.publication import Content, content_in
from realtime_server.core.model.values import ClientInfo, Publication

_encoder = msgspec.json.Encoder()


def encode_publication(publication: Publication) -> bytes:
    """Encode a publication of a history."""
    return encode_content(content_in(publication), publication.offset)


def encode_content(content: Content, offset: int) -> bytes:
    """Encode a publication; an offset of 0 is omitted."""
    return encode_parts(json_data(content), content, offset)


def encode_parts(data: bytes, content: Content, offset: int, *, delta: bool = False) -> bytes:
    """Encode a publication whose data is encoded already."""
    parts = [b'{"data":', data]
    if content.info is not None:
        parts += [b',"info":', encode_client_info(content.info)]
    if content.tags:
        parts += [b',"tags":', _encoder.encode(content.tags)]
    if offset:
        parts.append(b',"offset":%d' % offset)
    if delta:
        parts.append(b',"delta":true')
    parts.append(b"}")
    return b"".join(parts)


def json_data(content: Content) -> bytes:
    """Return the data of a publication as JSON: unchanged, or as a base64 string (RFC 4648) if it is binary."""
    return _encoder.encode(base64.b64encode(content.data).decode()) if content.binary else content.data


def encode_client_info(info: ClientInfo) -> bytes:
    """Encode the public view of a connection."""
    parts = [b'{"user":', _encoder.encode(info.user), b',"client":', _encoder.encode(info.client)]
    if info.connection_info is not None:
        parts += [b',"conn_info":', info.connection_info]
    if info.channel_info is not None:
        parts += [b',"chan_info":', info.channel_info]
    parts.append(b"}")
    return b"".join(parts)
