"""Centrifugo's client protocol in JSON: one object per command or reply, several in a message joined by line feeds.

Decoding yields core's typed structs directly; `data` and `info` stay raw. Never awaits, never raises on bad input.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from realtime_server.codes import ErrorCode
from realtime_server.core.model.commands import (
    Command,
    ConnectResult,
    EmptyResult,
    HistoryResult,
    PresenceResult,
    PresenceStatsResult,
    RefreshResult,
    Result,
    RpcResult,
    SubRefreshResult,
    SubscribeResult,
)
from realtime_server.core.model.publication import Content, content_in
from realtime_server.core.model.pushes import (
    DisconnectPush,
    JoinPush,
    LeavePush,
    MessagePush,
    Push,
    RefreshPush,
    SubscribePush,
    UnsubscribePush,
)
from realtime_server.core.model.values import Publication
from realtime_server.protocols.centrifuge.json_commands import decode_commands
from realtime_server.protocols.centrifuge.json_values import (
    encode_client_info,
    encode_content,
    encode_parts,
    encode_publication,
    json_data,
)

_encoder = msgspec.json.Encoder()


def encode_reply(command: int, result: Result) -> bytes:
    """Encode the reply to a command."""
    if isinstance(result, EmptyResult):  # the reply to each publication: the hot path
        return b'{"id":%d,"%b":{}}' % (command, result.method.encode())
    name, body = encode_result(result)
    return b'{"id":%d,"%b":%b}' % (command, name, body)


def encode_error(command: int, error: ErrorCode) -> bytes:
    """Encode the error reply to a command."""
    document: dict[str, object] = {"code": error.code, "message": error.message}
    if error.temporary:
        document["temporary"] = True
    return _encoder.encode({"id": command, "error": document})


def encode_publication_push(channel: str, publication: bytes) -> bytes:
    """Encode the push of a publication that is encoded already."""
    return b'{"push":%b}' % encode_publication_in(channel, publication)


def encode_publication_in(channel: str, publication: bytes) -> bytes:
    """Encode the inner object of a publication's push."""
    return b'{"channel":%b,"pub":%b}' % (_encoder.encode(channel), publication)


def encode_delta(content: Content, offset: int, patch: bytes | None) -> bytes:
    """Encode a publication for a subscriber with delta compression.

    Its data is a string: the patch, or the full JSON where `patch` is None.
    """
    text = json_data(content) if patch is None else patch
    return encode_parts(_encoder.encode(text.decode()), content, offset, delta=patch is not None)


def encode_push(channel: str, push: Push) -> bytes:
    """Encode any push other than a publication."""
    return b'{"push":%b}' % encode_pushed(channel, push)


def encode_pushed(channel: str, push: Push) -> bytes:
    """Encode the inner object of a push."""
    document: dict[str, object] = {"channel": channel} if channel else {}
    name, body = _push_body(push)
    document[name] = body
    return _encoder.encode(document)


PING = b"{}"


def _push_body(push: Push) -> tuple[str, object]:
    match push:
        case JoinPush():
            return "join", {"info": msgspec.Raw(encode_client_info(push.info))}
        case LeavePush():
            return "leave", {"info": msgspec.Raw(encode_client_info(push.info))}
        case SubscribePush():
            return "subscribe", _set_fields(push, "recoverable", "epoch", "offset", "positioned", "data")
        case UnsubscribePush():
            return "unsubscribe", {"code": push.code, "reason": push.reason}
        case MessagePush():
            return "message", {"data": msgspec.Raw(json_data(Content(push.data, binary=push.binary)))}
        case DisconnectPush():
            return "disconnect", {"code": push.code, "reason": push.reason, "reconnect": push.reconnect}
        case RefreshPush():
            return "refresh", _set_fields(push, "expires", "ttl")


def _set_fields(source: object, *names: str) -> dict[str, object]:
    """Return the non-empty fields; the protocol's schema omits the others."""
    found = {}
    for name in names:
        value = getattr(source, name)
        if value and value != _NO_DATA:
            found[name] = value
    return found


_NO_DATA = msgspec.Raw()


def encode_result(result: Result) -> tuple[bytes, bytes]:
    """Return the name of a result and its JSON object."""
    if isinstance(result, EmptyResult):
        return result.method.encode(), b"{}"
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
    if isinstance(result, SubRefreshResult):
        return b"sub_refresh", _encoder.encode(_set_fields(result, "expires", "ttl"))
    assert isinstance(result, RpcResult)
    return b"rpc", _encoder.encode(_set_fields(result, "data"))


def _connect(result: ConnectResult) -> dict[str, object]:
    document: dict[str, object] = {
        "client": result.client,
        "version": result.version,
        "pong": result.pong,
    }
    if result.ping:
        document["ping"] = result.ping
    document |= _set_fields(result, "expires", "ttl", "data", "session", "node")
    if result.subs:
        document["subs"] = {channel: _subscribe(sub) for channel, sub in result.subs.items()}
    return document


def _subscribe(result: SubscribeResult) -> dict[str, object]:
    document = _set_fields(
        result, "expires", "ttl", "recoverable", "positioned", "recovered", "was_recovering", "epoch", "offset", "data",
        "delta",
    )  # fmt: skip
    if result.publications:
        document["publications"] = _publications(result.publications, delta=result.delta)
    return document


def _publications(publications: tuple[Publication, ...], *, delta: bool = False) -> list[msgspec.Raw]:
    if delta:
        return [msgspec.Raw(encode_delta(content_in(one), one.offset, None)) for one in publications]
    return [msgspec.Raw(encode_publication(one)) for one in publications]


class JsonCodec:
    """The Codec of this protocol over a transport; `frame` turns one message into the transport's bytes.

    `native_ping`: the transport's own ping, ready to be written, where the client wants that one.
    """

    binary = False
    unidirectional = False

    def __init__(self, frame: Callable[[bytes], bytes], *, native_ping: bytes | None = None) -> None:
        self.native_pings = native_ping is not None
        self._frame = frame
        self._ping = native_ping or frame(PING)

    def decode(self, message: bytes) -> tuple[Command, ...] | None:
        """See Codec."""
        return decode_commands(message)

    def reply(self, command: int, result: Result) -> bytes:
        """See Codec."""
        return self._frame(encode_reply(command, result))

    def error(self, command: int, error: ErrorCode) -> bytes:
        """See Codec."""
        return self._frame(encode_error(command, error))

    def publication(self, channel: str, content: Content, offset: int) -> bytes:
        """See Codec."""
        return self._frame(encode_publication_push(channel, encode_content(content, offset)))

    def delta_publication(self, channel: str, content: Content, offset: int, patch: bytes | None) -> bytes:
        """See Codec."""
        return self._frame(encode_publication_push(channel, encode_delta(content, offset, patch)))

    def push(self, channel: str, push: Push) -> bytes:
        """See Codec."""
        return self._frame(encode_push(channel, push))

    def ping(self) -> bytes:
        """See Codec."""
        return self._ping
