"""Commands in Protobuf, decoded into core's structs. Never awaits, never raises on bad input."""

from __future__ import annotations

from collections.abc import Callable

from google.protobuf.message import DecodeError
from msgspec import Raw

from realtime_server.core.model.commands import (
    PONG,
    ChannelRequest,
    Command,
    ConnectRequest,
    HistoryRequest,
    PingRequest,
    PublishRequest,
    RefreshRequest,
    RpcRequest,
    SendRequest,
    Since,
    SubRefreshRequest,
    SubscribeRequest,
    malformed,
)
from realtime_server.protocols.centrifuge import client_pb2
from realtime_server.protocols.centrifuge.varint import split_delimited


def decode_commands(message: bytes) -> tuple[Command, ...] | None:
    """Decode the commands of one message; None when there is none, or the envelope of one cannot be read."""
    try:
        return tuple([_decode(one) for one in split_delimited(message)]) or None
    except (DecodeError, ValueError):
        return None


def _decode(message: bytes) -> Command:
    """Decode one command, malformed or not. Raises DecodeError when not even its envelope can be read."""
    if not message:
        return PONG
    try:
        command = client_pb2.Command.FromString(message)
    except DecodeError:
        envelope = client_pb2.Envelope.FromString(message)
        name = envelope.WhichOneof("request") or ""
        if not envelope.id and name != "send":
            raise
        return malformed(envelope.id, name)
    name = command.WhichOneof("request")
    return Command(id=command.id) if name is None else _READERS[name](command)


def _connect(command: client_pb2.Command) -> Command:
    found = command.connect
    return Command(
        id=command.id,
        connect=ConnectRequest(
            found.token,
            Raw(found.data),
            {channel: _subscription(sub) for channel, sub in found.subs.items()},
            found.name,
            found.version,
            dict(found.headers),
            found.flag,
        ),
    )


def _subscription(found: client_pb2.SubscribeRequest) -> SubscribeRequest:
    return SubscribeRequest(
        found.channel,
        found.token,
        found.recover,
        found.epoch,
        found.offset,
        Raw(found.data),
        found.positioned,
        found.recoverable,
        found.join_leave,
        found.delta,
        found.flag,
        found.type,
        Raw(found.tf),
    )


def _publish(command: client_pb2.Command) -> Command:
    found = command.publish
    return Command(
        id=command.id, publish=PublishRequest(found.channel, Raw(found.data), found.type, found.key, found.removed)
    )


def _history(command: client_pb2.Command) -> Command:
    found = command.history
    since = Since(found.since.offset, found.since.epoch) if found.HasField("since") else None
    return Command(id=command.id, history=HistoryRequest(found.channel, found.limit, since, found.reverse))


_READERS: dict[str, Callable[[client_pb2.Command], Command]] = {
    "connect": _connect,
    "subscribe": lambda command: Command(id=command.id, subscribe=_subscription(command.subscribe)),
    "unsubscribe": lambda command: Command(id=command.id, unsubscribe=ChannelRequest(command.unsubscribe.channel)),
    "publish": _publish,
    "presence": lambda command: Command(id=command.id, presence=ChannelRequest(command.presence.channel)),
    "presence_stats": lambda command: Command(
        id=command.id, presence_stats=ChannelRequest(command.presence_stats.channel)
    ),
    "history": _history,
    "ping": lambda command: Command(id=command.id, ping=PingRequest()),
    "send": lambda command: Command(id=command.id, send=SendRequest(Raw(command.send.data))),
    "rpc": lambda command: Command(id=command.id, rpc=RpcRequest(command.rpc.method, Raw(command.rpc.data))),
    "refresh": lambda command: Command(id=command.id, refresh=RefreshRequest(command.refresh.token)),
    "sub_refresh": lambda command: Command(
        id=command.id,
        sub_refresh=SubRefreshRequest(command.sub_refresh.channel, command.sub_refresh.token, command.sub_refresh.type),
    ),
}
