"""Centrifugo's client protocol in Protobuf: length-delimited messages of client.proto. Never awaits.

`data` and infos are arbitrary bytes; data that JSON clients publish arrives as JSON in UTF-8.
"""

from __future__ import annotations

from collections.abc import Callable

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
from realtime_server.core.model.values import ClientInfo, Publication
from realtime_server.protocols.centrifuge import client_pb2 as pb
from realtime_server.protocols.centrifuge.protobuf_commands import decode_commands
from realtime_server.protocols.centrifuge.varint import delimited

MAX_TTL = 2**32 - 1
"""Largest value of the ttl field in seconds (136 years); longer times are capped to it."""
PING = b""
"""Body of a ping: an empty reply."""


def encode_reply(command: int, result: Result) -> bytes:
    """Encode the reply to a command."""
    return _reply(command, result).SerializeToString()


def encode_error(command: int, error: ErrorCode) -> bytes:
    """Encode the error reply to a command."""
    message = pb.Error(code=error.code, message=error.message, temporary=error.temporary)
    return pb.Reply(id=command, error=message).SerializeToString()


def encode_push(channel: str, push: Push) -> bytes:
    """Encode any push other than a publication."""
    return pb.Reply(push=_push(channel, push)).SerializeToString()


def encode_publication_push(channel: str, content: Content, offset: int, patch: bytes | None = None) -> bytes:
    """Encode the push of a publication; with a `patch` its data is the delta to the previous one.

    The messages are filled in place: passing them to one another's constructors copies them, which takes twice as long.
    """
    reply = pb.Reply()
    push = reply.push
    push.channel = channel
    _fill(push.pub, content, offset)
    if patch is not None:
        push.pub.data = patch
        push.pub.delta = True
    return reply.SerializeToString()


def _fill(publication: pb.Publication, content: Content, offset: int) -> None:
    publication.data = content.data
    publication.offset = offset
    if content.info is not None:
        publication.info.MergeFrom(_client_info(content.info))
    if content.tags:
        publication.tags.update(content.tags)


def _reply(command: int, result: Result) -> pb.Reply:
    match result:
        case ConnectResult():
            return pb.Reply(id=command, connect=_connect(result))
        case SubscribeResult():
            return pb.Reply(id=command, subscribe=_subscribe(result))
        case RefreshResult():
            refresh = pb.RefreshResult(
                client=result.client, version=result.version, expires=result.expires, ttl=_ttl(result.ttl)
            )
            return pb.Reply(id=command, refresh=refresh)
        case PresenceResult():
            members = {client: _client_info(info) for client, info in result.presence.items()}
            return pb.Reply(id=command, presence=pb.PresenceResult(presence=members))
        case PresenceStatsResult():
            stats = pb.PresenceStatsResult(num_clients=result.num_clients, num_users=result.num_users)
            return pb.Reply(id=command, presence_stats=stats)
        case HistoryResult():
            return pb.Reply(id=command, history=_history(result))
        case SubRefreshResult():
            sub_refresh = pb.SubRefreshResult(expires=result.expires, ttl=_ttl(result.ttl))
            return pb.Reply(id=command, sub_refresh=sub_refresh)
        case RpcResult():
            return pb.Reply(id=command, rpc=pb.RpcResult(data=bytes(result.data)))
        case EmptyResult(method="unsubscribe"):
            return pb.Reply(id=command, unsubscribe=pb.Empty())
        case EmptyResult():
            return pb.Reply(id=command, publish=pb.Empty())


def _connect(result: ConnectResult) -> pb.ConnectResult:
    return pb.ConnectResult(
        client=result.client,
        version=result.version,
        expires=result.expires,
        ttl=_ttl(result.ttl),
        data=bytes(result.data),
        subs={channel: _subscribe(sub) for channel, sub in result.subs.items()},
        ping=result.ping,
        pong=result.pong,
        session=result.session,
        node=result.node,
    )


def _subscribe(result: SubscribeResult) -> pb.SubscribeResult:
    return pb.SubscribeResult(
        expires=result.expires,
        ttl=_ttl(result.ttl),
        recoverable=result.recoverable,
        epoch=result.epoch,
        publications=map(_publication, result.publications),
        recovered=result.recovered,
        offset=result.offset,
        positioned=result.positioned,
        data=bytes(result.data),
        was_recovering=result.was_recovering,
        delta=result.delta,
    )


def _history(result: HistoryResult) -> pb.HistoryResult:
    position = result.page.position
    publications = map(_publication, result.page.publications)
    return pb.HistoryResult(publications=publications, epoch=position.epoch, offset=position.offset)


def _publication(publication: Publication) -> pb.Publication:
    made = pb.Publication()
    _fill(made, content_in(publication), publication.offset)
    return made


def _client_info(info: ClientInfo) -> pb.ClientInfo:
    return pb.ClientInfo(
        user=info.user, client=info.client, conn_info=info.connection_info or b"", chan_info=info.channel_info or b""
    )


def _ttl(seconds: int) -> int:
    return min(seconds, MAX_TTL)


def _push(channel: str, push: Push) -> pb.Push:
    match push:
        case JoinPush():
            return pb.Push(channel=channel, join=pb.Membership(info=_client_info(push.info)))
        case LeavePush():
            return pb.Push(channel=channel, leave=pb.Membership(info=_client_info(push.info)))
        case SubscribePush():
            return pb.Push(channel=channel, subscribe=_subscribe_push(push))
        case UnsubscribePush():
            return pb.Push(channel=channel, unsubscribe=pb.Unsubscribe(code=push.code, reason=push.reason))
        case MessagePush():
            return pb.Push(message=pb.Message(data=push.data))
        case DisconnectPush():
            disconnect = pb.Disconnect(code=push.code, reason=push.reason, reconnect=push.reconnect)
            return pb.Push(channel=channel, disconnect=disconnect)
        case RefreshPush():
            return pb.Push(channel=channel, refresh=pb.Refresh(expires=push.expires, ttl=_ttl(push.ttl)))


def _subscribe_push(push: SubscribePush) -> pb.Subscribe:
    return pb.Subscribe(
        recoverable=push.recoverable,
        epoch=push.epoch,
        offset=push.offset,
        positioned=push.positioned,
        data=bytes(push.data),
    )


class ProtobufCodec:
    """The Codec of this protocol over a transport; `frame` turns one message into the transport's bytes.

    `native_ping`: the transport's own ping, ready to be written, where the client wants that one.
    """

    binary = True
    unidirectional = False

    def __init__(self, frame: Callable[[bytes], bytes], *, native_ping: bytes | None = None) -> None:
        self.native_pings = native_ping is not None
        self._frame = frame
        self._ping = native_ping or frame(delimited(PING))

    def decode(self, message: bytes) -> tuple[Command, ...] | None:
        """See Codec."""
        return decode_commands(message)

    def reply(self, command: int, result: Result) -> bytes:
        """See Codec."""
        return self._frame(delimited(encode_reply(command, result)))

    def error(self, command: int, error: ErrorCode) -> bytes:
        """See Codec."""
        return self._frame(delimited(encode_error(command, error)))

    def publication(self, channel: str, content: Content, offset: int) -> bytes:
        """See Codec."""
        return self._frame(delimited(encode_publication_push(channel, content, offset)))

    def delta_publication(self, channel: str, content: Content, offset: int, patch: bytes | None) -> bytes:
        """See Codec."""
        return self._frame(delimited(encode_publication_push(channel, content, offset, patch)))

    def push(self, channel: str, push: Push) -> bytes:
        """See Codec."""
        return self._frame(delimited(encode_push(channel, push)))

    def ping(self) -> bytes:
        """See Codec."""
        return self._ping
