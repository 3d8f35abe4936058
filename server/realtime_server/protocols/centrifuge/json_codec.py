"""Centrifugo's client protocol in JSON: commands and replies as objects, joined by line feeds in one message.

Decoding goes straight into core's typed structs; `data` and `info` stay raw. Never awaits, never raises on bad input.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from realtime_server.codes import ErrorCode, UnsubscribeCode
from realtime_server.core.commands import (
    Command,
    ConnectResult,
    EmptyResult,
    HistoryResult,
    PresenceResult,
    PresenceStatsResult,
    RefreshResult,
    Result,
    SubscribeResult,
)
from realtime_server.core.publication import encode_client_info, with_offset
from realtime_server.core.values import Publication

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


def decode_commands(message: bytes) -> tuple[Command, ...] | None:
    """The commands of one message; None when there is none, or one is malformed."""
    try:
        message.decode()  # the JSON decoder does not look into the strings of raw data
        if b"\n" not in message:
            return (_decoder.decode(message),)
        return tuple(_decoder.decode(line) for line in message.split(b"\n") if line.strip()) or None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def encode_reply(command: int, result: Result) -> bytes:
    """The answer to a command."""
    name, body = _body(result)
    return b'{"id":%d,"%b":%b}' % (command, name, body)


def encode_error(command: int, error: ErrorCode) -> bytes:
    """The answer to a command that failed."""
    document: dict[str, object] = {"code": error.code, "message": error.message}
    if error.temporary:
        document["temporary"] = True
    return _encoder.encode({"id": command, "error": document})


def encode_publication(channel: str, publication: Publication) -> bytes:
    """A publication, pushed; its own encoding is put in as it is."""
    return b'{"push":{"channel":%b,"pub":%b}}' % (_encoder.encode(channel), with_offset(publication))


def encode_unsubscribed(channel: str, code: UnsubscribeCode) -> bytes:
    """The end of a subscription, pushed."""
    push = {"channel": channel, "unsubscribe": {"code": code.code, "reason": code.reason}}
    return _encoder.encode({"push": push})


PING = b"{}"


def _body(result: Result) -> tuple[bytes, bytes]:
    if isinstance(result, ConnectResult):
        return b"connect", _encoder.encode(_connect(result))
    if isinstance(result, SubscribeResult):
        return b"subscribe", _encoder.encode(_subscribe(result))
    if isinstance(result, RefreshResult):
        document = {"client": result.client, "version": result.version, "expires": result.expires, "ttl": result.ttl}
        return b"refresh", _encoder.encode(document)
    if isinstance(result, PresenceResult):
        members = {client: msgspec.Raw(encode_client_info(info)) for client, info in result.presence.items()}
        return b"presence", _encoder.encode({"presence": members})
    if isinstance(result, PresenceStatsResult):
        return b"presence_stats", _encoder.encode({"num_clients": result.num_clients, "num_users": result.num_users})
    if isinstance(result, HistoryResult):
        page = result.page
        document_ = {
            "publications": _publications(page.publications),
            "epoch": page.position.epoch,
            "offset": page.position.offset,
        }
        return b"history", _encoder.encode(document_)
    assert isinstance(result, EmptyResult)
    return result.method.encode(), b"{}"


def _connect(result: ConnectResult) -> dict[str, object]:
    document: dict[str, object] = {
        "client": result.client,
        "version": result.version,
        "ping": result.ping,
        "pong": result.pong,
    }
    if result.expires:
        document |= {"expires": True, "ttl": result.ttl}
    if result.subs:
        document["subs"] = {channel: _subscribe(sub) for channel, sub in result.subs.items()}
    return document


def _subscribe(result: SubscribeResult) -> dict[str, object]:
    document: dict[str, object] = {}
    for name in ("recoverable", "positioned", "recovered", "was_recovering"):
        if getattr(result, name):
            document[name] = True
    if result.epoch:
        document["epoch"] = result.epoch
    if result.offset:
        document["offset"] = result.offset
    if result.publications:
        document["publications"] = _publications(result.publications)
    return document


def _publications(publications: tuple[Publication, ...]) -> list[msgspec.Raw]:
    return [msgspec.Raw(with_offset(publication)) for publication in publications]


class JsonWire:
    """The Wire of this protocol over a transport; `frame` turns one message into the transport's bytes."""

    def __init__(self, frame: Callable[[bytes], bytes]) -> None:
        self._frame = frame
        self._ping = frame(PING)

    def decode(self, message: bytes) -> tuple[Command, ...] | None:
        """See Wire."""
        return decode_commands(message)

    def reply(self, command: int, result: Result) -> bytes:
        """See Wire."""
        return self._frame(encode_reply(command, result))

    def error(self, command: int, error: ErrorCode) -> bytes:
        """See Wire."""
        return self._frame(encode_error(command, error))

    def publication(self, channel: str, publication: Publication) -> bytes:
        """See Wire."""
        return self._frame(encode_publication(channel, publication))

    def unsubscribed(self, channel: str, code: UnsubscribeCode) -> bytes:
        """See Wire."""
        return self._frame(encode_unsubscribed(channel, code))

    def ping(self) -> bytes:
        """See Wire."""
        return self._ping
