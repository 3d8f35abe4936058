"""Acknowledgements of the events that the server handles itself: one JSON object, in an array as its only element."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from realtime_server.core.model.publication import content_in
from realtime_server.core.model.values import ClientInfo, HistoryPage, StreamPosition
from realtime_server.protocols.socket_io.namespace_codec import NamespaceCodec

DONE = b"[{}]"
"""Acknowledgement of an event that has no other result."""


def encode_joined(position: StreamPosition, *, recovered: bool | None) -> bytes:
    """Encode that a room was joined at a position; `recovered` is None unless the client has asked for what it missed.

    A room without history has a position without an epoch, which is left out.
    """
    document: dict[str, object] = {}
    if position.epoch:
        document = {"offset": position.offset, "epoch": position.epoch}
    if recovered is not None:
        document["recovered"] = recovered
    return msgspec.json.encode([document])


def encode_history(codec: NamespaceCodec, channel: str, page: HistoryPage) -> tuple[bytes, tuple[bytes, ...]]:
    """Encode a page as `{offset, epoch, publications: [{offset, event, user, tags}]}`, and its binary attachments.

    `event` has what a client in the room gets: name and arguments.
    """
    publications: list[dict[str, object]] = []
    attachments: list[bytes] = []
    for publication in page.publications:
        content = content_in(publication)
        event = codec.event(channel, content, attachment=len(attachments))
        if content.binary:
            attachments.append(content.data)
        document: dict[str, object] = {"offset": publication.offset, "event": Raw(event)}
        if content.info is not None and content.info.user:
            document["user"] = content.info.user
        if content.tags:
            document["tags"] = content.tags
        publications.append(document)
    position = page.position
    answer = {"offset": position.offset, "epoch": position.epoch, "publications": publications}
    return msgspec.json.encode([answer]), tuple(attachments)


def encode_presence(members: Mapping[str, ClientInfo]) -> bytes:
    """Encode the members of a room by the ids of their connections, as in other protocols."""
    return msgspec.json.encode([{"presence": {client: _member(info) for client, info in members.items()}}])


def _member(info: ClientInfo) -> dict[str, object]:
    document: dict[str, object] = {"user": info.user, "client": info.client}
    if info.connection_info is not None:
        document["conn_info"] = Raw(info.connection_info)
    if info.channel_info is not None:
        document["chan_info"] = Raw(info.channel_info)
    return document
