"""Encoding of what plain clients receive: the bare data, or a JSON envelope. One codec per kind and framing.

In an envelope a publication is `{"channel","offset","epoch","data","user","tags"}`, a message of the backend or a reply
`{"id","data"}`, an error `{"id","error":{"code","message"}}`. Bytes that are no JSON are `b64data` instead of `data`.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Protocol, TypeAlias

import msgspec

from realtime_server.codes import ErrorCode
from realtime_server.core.model.publication import Content, as_json
from realtime_server.core.model.pushes import (
    DisconnectPush,
    JoinPush,
    LeavePush,
    MessagePush,
    Push,
    SubscribePush,
    UnsubscribePush,
)
from realtime_server.core.model.values import ClientInfo, StreamPosition
from realtime_server.core.ports.client import Codec
from realtime_server.protocols.plain.resumption import event_id, event_id_of, tag_of

Frame: TypeAlias = Callable[[bytes], bytes]
"""Framing of one message by the transport."""
EpochOf: TypeAlias = Callable[[str], str]
"""Function that returns the epoch of a channel with subscribers here, "" for a channel without history."""
NOTHING = b""
COMMENT = b":\n\n"
"""Line of an event stream that its reader ignores."""
_encoder = msgspec.json.Encoder()


class PlainCodec(Codec, Protocol):
    """Codec of a route. What a kind of route does not tell its clients is encoded as NOTHING, and is not to be sent."""

    def welcome(self) -> bytes:
        """Encode that the client is let in."""

    def subscribed(self, channel: str, push: SubscribePush, *, recovered: bool | None) -> bytes:
        """Encode the beginning of a subscription; `recovered` is None unless the client has asked for it."""

    def message(self, data: bytes, ident: bytes | None) -> bytes:
        """Encode a message of the backend, or the reply to the message with this id (raw JSON)."""

    def done(self, ident: bytes | None) -> bytes:
        """Encode that the message with this id was handled, and has no reply."""

    def error(self, error: ErrorCode, why: str, ident: bytes | None) -> bytes:
        """Encode the error of a message; NOTHING when the connection is to be closed instead."""


class Bare:
    """Content of messages without an envelope: as text, or as binary data."""

    def __init__(self, *, binary: bool) -> None:
        self._binary = binary

    def publication(self, channel: str, content: Content, offset: int, epoch: str) -> bytes:
        """Return the data alone."""
        del channel, offset, epoch
        return self.data(content.data, binary=content.binary)

    def data(self, data: bytes, *, binary: bool) -> bytes:
        """Return data as it is; in text, bytes that are no UTF-8 as base64."""
        if self._binary or not binary:
            return data
        try:
            data.decode()
        except UnicodeDecodeError:
            return base64.b64encode(data)
        return data

    def subscribed(self, channel: str, push: SubscribePush, recovered: bool | None) -> bytes:
        """Return NOTHING."""
        del channel, push, recovered
        return NOTHING

    def message(self, data: bytes, ident: bytes | None) -> bytes:
        """Return the data alone: replies have the order of the messages."""
        del ident
        return self.data(data, binary=True)

    def done(self, ident: bytes | None) -> bytes:
        """Return NOTHING."""
        del ident
        return NOTHING

    def error(self, error: ErrorCode, why: str, ident: bytes | None) -> bytes:
        """Return NOTHING."""
        del error, why, ident
        return NOTHING

    def push(self, channel: str, push: Push) -> bytes:
        """Return the data of a message; NOTHING for anything else."""
        del channel
        return self.data(push.data, binary=push.binary) if isinstance(push, MessagePush) else NOTHING


class Envelope:
    """Content of messages in a JSON envelope."""

    def publication(self, channel: str, content: Content, offset: int, epoch: str) -> bytes:
        """Return a publication."""
        parts = [b'{"channel":', _encoder.encode(channel)]
        if offset:
            parts.append(b',"offset":%d' % offset)
            if epoch:
                parts += [b',"epoch":', _encoder.encode(epoch)]
        parts += _data(content.data, binary=content.binary)
        if content.info is not None and content.info.user:
            parts += [b',"user":', _encoder.encode(content.info.user)]
        if content.tags:
            parts += [b',"tags":', _encoder.encode(content.tags)]
        parts.append(b"}")
        return b"".join(parts)

    def subscribed(self, channel: str, push: SubscribePush, recovered: bool | None) -> bytes:
        """Return the position at which a subscription begins, where the channel has positions."""
        position: dict[str, object] = {}
        if push.epoch:
            position = {"offset": push.offset, "epoch": push.epoch}
        if recovered is not None:
            position["recovered"] = recovered
        return _encoder.encode({"channel": channel, "subscribed": position})

    def message(self, data: bytes, ident: bytes | None) -> bytes:
        """Return a message, with the id that it replies to."""
        found = as_json(data)
        return self._message(_data(data, binary=True) if found is None else _data(found, binary=False), ident)

    def done(self, ident: bytes | None) -> bytes:
        """Return the id alone; NOTHING for a message without one."""
        return NOTHING if ident is None else b'{"id":%b}' % ident

    def error(self, error: ErrorCode, why: str, ident: bytes | None) -> bytes:
        """Return an error, with the id of the message that it is about."""
        document = _encoder.encode({"code": error.code, "message": why or error.message})
        return self._message([b',"error":', document], ident)

    def push(self, channel: str, push: Push) -> bytes:
        """Return a push; NOTHING for what these clients do not need."""
        match push:
            case MessagePush():
                return self._message(_data(push.data, binary=push.binary), None)
            case SubscribePush():
                return self.subscribed(channel, push, None)
            case UnsubscribePush():
                return _encoder.encode({"channel": channel, "unsubscribed": {"code": push.code, "reason": push.reason}})
            case JoinPush():
                return _encoder.encode({"channel": channel, "joined": _member(push.info)})
            case LeavePush():
                return _encoder.encode({"channel": channel, "left": _member(push.info)})
            case _:
                return NOTHING

    def _message(self, rest: list[bytes], ident: bytes | None) -> bytes:
        """Return an object of an id, if there is one, and the fields in `rest`, which begin with a comma."""
        if ident is None:
            return b"{%b}" % b"".join(rest)[1:]
        return b'{"id":%b%b}' % (ident, b"".join(rest))


Kind: TypeAlias = Bare | Envelope


class WebSocketCodec:
    """PlainCodec over WebSocket; `frame` makes text or binary frames, `native_ping` is a frame too."""

    native_pings = True
    unidirectional = False

    def __init__(self, kind: Kind, frame: Frame, native_ping: bytes, epoch_of: EpochOf, *, binary: bool) -> None:
        self.binary = binary
        self._kind = kind
        self._frame = frame
        self._ping = native_ping
        self._epoch_of = epoch_of

    def publication(self, channel: str, content: Content, offset: int) -> bytes:
        """See Encoder."""
        epoch = self._epoch_of(channel) if offset else ""
        return self._frame(self._kind.publication(channel, content, offset, epoch))

    def delta_publication(self, channel: str, content: Content, offset: int, patch: bytes | None) -> bytes:
        """See Encoder. These clients never ask for differences."""
        del patch
        return self.publication(channel, content, offset)

    def push(self, channel: str, push: Push) -> bytes:
        """See Encoder."""
        return self._framed(self._kind.push(channel, push))

    def ping(self) -> bytes:
        """See Codec."""
        return self._ping

    def welcome(self) -> bytes:
        """See PlainCodec: the handshake has said so."""
        return NOTHING

    def subscribed(self, channel: str, push: SubscribePush, *, recovered: bool | None) -> bytes:
        """See PlainCodec."""
        return self._framed(self._kind.subscribed(channel, push, recovered))

    def message(self, data: bytes, ident: bytes | None) -> bytes:
        """See PlainCodec."""
        return self._frame(self._kind.message(data, ident))

    def done(self, ident: bytes | None) -> bytes:
        """See PlainCodec."""
        return self._framed(self._kind.done(ident))

    def error(self, error: ErrorCode, why: str, ident: bytes | None) -> bytes:
        """See PlainCodec."""
        return self._framed(self._kind.error(error, why, ident))

    def _framed(self, message: bytes) -> bytes:
        return self._frame(message) if message else NOTHING


class EventStreamCodec:
    """PlainCodec over Server-Sent Events; ids of events are positions, `chunk` frames an event for the transport.

    A client of a bare route learns of positions by the ids, and of a lost position by an event `unrecovered`.
    """

    binary = False
    native_pings = False
    unidirectional = True

    def __init__(self, kind: Kind, chunk: Frame, epoch_of: EpochOf) -> None:
        self._kind = kind
        self._chunk = chunk
        self._epoch_of = epoch_of

    def publication(self, channel: str, content: Content, offset: int) -> bytes:
        """See Encoder."""
        epoch = self._epoch_of(channel) if offset else ""
        message = self._kind.publication(channel, content, offset, epoch)
        return self._event(message, ident=self._ident(channel, offset, epoch) if offset else "")

    def delta_publication(self, channel: str, content: Content, offset: int, patch: bytes | None) -> bytes:
        """See Encoder. These clients never ask for differences."""
        del patch
        return self.publication(channel, content, offset)

    def push(self, channel: str, push: Push) -> bytes:
        """See Encoder."""
        if isinstance(push, DisconnectPush):
            return self._event(_encoder.encode({"code": push.code, "reason": push.reason}), name="disconnect")
        message = self._kind.push(channel, push)
        return self._event(message) if message else NOTHING

    def ping(self) -> bytes:
        """See Codec: a comment."""
        return self._chunk(COMMENT)

    def welcome(self) -> bytes:
        """See PlainCodec: a comment, with which the head of the response is sent."""
        return self._chunk(COMMENT)

    def subscribed(self, channel: str, push: SubscribePush, *, recovered: bool | None) -> bytes:
        """See PlainCodec."""
        ident = self._ident(channel, push.offset, push.epoch) if push.epoch else ""
        message = self._kind.subscribed(channel, push, recovered)
        if message:
            return self._event(message, ident=ident)
        if recovered is False:
            position = _encoder.encode({"channel": channel, "offset": push.offset, "epoch": push.epoch})
            return self._event(position, ident=ident, name="unrecovered")
        return self._chunk(b"id: %b\n\n" % ident.encode()) if ident else NOTHING

    def message(self, data: bytes, ident: bytes | None) -> bytes:
        """See PlainCodec."""
        return self._event(self._kind.message(data, ident))

    def done(self, ident: bytes | None) -> bytes:
        """See PlainCodec: the client sends no messages."""
        del ident
        return NOTHING

    def error(self, error: ErrorCode, why: str, ident: bytes | None) -> bytes:
        """See PlainCodec: the client sends no messages."""
        del error, why, ident
        return NOTHING

    def _ident(self, channel: str, offset: int, epoch: str) -> str:
        """Return the id of an event at a position in a channel."""
        del channel
        return event_id(offset, epoch)

    def _event(self, message: bytes, *, ident: str = "", name: str = "") -> bytes:
        lines = [b"id: %b\n" % ident.encode()] if ident else []
        if name:
            lines.append(b"event: %b\n" % name.encode())
        # a line has three ends in an event stream (HTML Living Standard, section 9.2.5)
        parts = message.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        return self._chunk(b"".join([*lines, *(b"data: %b\n" % part for part in parts), b"\n"]))


class ResumableEventCodec(EventStreamCodec):
    """EventStreamCodec of one client, whose ids have its positions in all channels of the route.

    An EventSource keeps the last id alone. `given`: positions that the client resumes from, by the tags of channels.
    """

    def __init__(self, kind: Kind, chunk: Frame, epoch_of: EpochOf, given: Mapping[str, StreamPosition]) -> None:
        super().__init__(kind, chunk, epoch_of)
        self._positions = dict(given)
        self._tags: dict[str, str] = {}

    def _ident(self, channel: str, offset: int, epoch: str) -> str:
        """Return the id with this position in a channel; what was missed may be encoded before its beginning."""
        tag = self._tags.get(channel)
        if tag is None:
            tag = self._tags[channel] = tag_of(channel)
        known = self._positions.get(tag)
        positions = {**self._positions, tag: StreamPosition(offset, epoch)}
        if known is None or known.epoch != epoch or known.offset < offset:
            self._positions = positions
        return event_id_of(positions)


def _data(data: bytes, *, binary: bool) -> list[bytes]:
    """Return the field of data, with a comma before it."""
    if binary:
        return [b',"b64data":"', base64.b64encode(data), b'"']
    return [b',"data":', data]


def _member(info: ClientInfo) -> dict[str, str]:
    return {"user": info.user, "client": info.client}
