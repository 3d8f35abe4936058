"""Methods of the server API: from a caller's request to calls of core, and back."""

from __future__ import annotations

import asyncio
import base64
import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, Protocol, TypeVar

import msgspec
import structlog
from msgspec import UNSET, Raw, Struct, UnsetType

from realtime_server import codes
from realtime_server.admin import api_messages as messages
from realtime_server.codes import DisconnectCode, ErrorCode
from realtime_server.core.auth.claims import MAX_INFO_BYTES
from realtime_server.core.model.errors import BackplaneError, CommandError
from realtime_server.core.model.grant import AS_THE_NAMESPACE, Grant
from realtime_server.core.model.publication import as_json, content_in
from realtime_server.core.model.values import ClientInfo, HistoryQuery, Publication, StreamPosition
from realtime_server.core.ports.api import Connections, Message, RealtimeApi, Revoking
from realtime_server.protocols.centrifuge.json_values import json_data
from realtime_server.protocols.socket_io.attachments import Value, decode_base64
from realtime_server.protocols.socket_io.errors import Fault, PacketError
from realtime_server.socket_io.cluster_sockets import ClusterSockets
from realtime_server.socket_io.emissions import Emission, emission_of
from realtime_server.socket_io.socket_index import SocketSelection

logger = structlog.get_logger()

PUBLISHED_AT_ONCE = 256
"""Number of concurrent publications of a broadcast."""

Request = TypeVar("Request", bound=messages.Request)
Result = TypeVar("Result", bound=messages.Result)


class ApiHandlers:
    """Handlers of all methods. All raise CommandError or BackplaneError.

    `data_bytes` is the maximum size of a publication, tags included. `sockets`: None while Socket.IO is off.
    """

    def __init__(self, api: RealtimeApi, data_bytes: int, sockets: ClusterSockets | None = None) -> None:
        self._api = api
        self._data_bytes = data_bytes
        self._cluster_sockets = sockets

    async def publish(self, request: messages.Publish) -> messages.Published:
        """Publish to a channel."""
        return await self._publish(request.channel, self._message(request))

    async def broadcast(self, request: messages.Broadcast) -> messages.Broadcasted:
        """Publish the same to several channels: a result or an error for each."""
        message = self._message(request)
        responses: list[messages.BroadcastResponse] = []
        for start in range(0, len(request.channels), PUBLISHED_AT_ONCE):
            some = request.channels[start : start + PUBLISHED_AT_ONCE]
            if AWAY in responses:  # each would wait for it in vain
                responses += [AWAY] * len(some)
            else:
                responses += await asyncio.gather(*(self._respond(channel, message) for channel in some))
        return messages.Broadcasted(responses=responses)

    async def _respond(self, channel: str, message: Message) -> messages.BroadcastResponse:
        try:
            return messages.BroadcastResponse(result=await self._publish(channel, message))
        except CommandError as error:
            return messages.BroadcastResponse(error=error_of(error.error, error.why))
        except BackplaneError as error:
            logger.warning("api call failed", method="broadcast", error=str(error))
            return AWAY

    async def _publish(self, channel: str, message: Message) -> messages.Published:
        position = await self._api.publish(channel, message)
        if position is None:
            return messages.Published()
        return messages.Published(offset=position.offset, epoch=position.epoch)

    def _message(self, request: messages.Publication) -> Message:
        data = _either("data", request.data, request.b64data)
        if not data:
            raise CommandError(codes.BAD_REQUEST, "data or b64data is needed")
        if request.version_epoch and not request.version:
            raise CommandError(codes.BAD_REQUEST, "version_epoch needs a version above 0")
        size = len(data) + sum(len(tag.encode()) for pair in request.tags.items() for tag in pair)
        if size > self._data_bytes:
            raise CommandError(codes.LIMIT_EXCEEDED, f"data and tags have {size} bytes, more than {self._data_bytes}")
        return Message(
            data,
            binary=bool(request.b64data),
            tags=request.tags or None,
            skip_history=request.skip_history,
            idempotency_key=request.idempotency_key,
            version=request.version,
            version_epoch=request.version_epoch,
        )

    async def subscribe(self, request: messages.Subscribe) -> messages.Done:
        """Subscribe a user's connections to a channel."""
        info = _either("info", request.info, request.b64info)
        if request.b64info and info is not None:
            info = as_json(info)
            if info is None:
                raise CommandError(codes.BAD_REQUEST, "b64info: is not JSON in base64")
        if info is not None and len(info) > MAX_INFO_BYTES:
            raise CommandError(codes.LIMIT_EXCEEDED, f"info has {len(info)} bytes, more than {MAX_INFO_BYTES}")
        data = _either("data", request.data, request.b64data)
        grant = Grant(
            info=info,
            data=data,
            expires_at=float(request.expire_at) or None,
            override=request.override or AS_THE_NAMESPACE,
        )
        await self._api.subscribe(_connections(request), request.channel, grant, since=_position(request.recover_since))
        return messages.Done()

    async def unsubscribe(self, request: messages.Unsubscribe) -> messages.Done:
        """End a user's subscriptions to a channel."""
        await self._api.unsubscribe(_connections(request), request.channel)
        return messages.Done()

    async def disconnect(self, request: messages.Disconnect) -> messages.Done:
        """Close a user's connections, or sockets of Socket.IO."""
        wanted = request.disconnect
        code = None if wanted is None else DisconnectCode(wanted.code, wanted.reason)
        if request.namespace:
            await self._disconnect_sockets(request, code)
            return messages.Done()
        if request.rooms or request.excluded or request.close:
            raise CommandError(codes.BAD_REQUEST, "rooms, except and close need a namespace")
        _require_connections(request)
        await self._api.disconnect(_connections(request), code=code, spared=request.whitelist)
        return messages.Done()

    async def _disconnect_sockets(self, request: messages.Disconnect, code: DisconnectCode | None) -> None:
        if request.user or request.client or request.session:
            raise CommandError(codes.BAD_REQUEST, "namespace and user, client or session: one of them")
        selection = SocketSelection(
            request.namespace, frozenset(request.rooms), frozenset([*request.excluded, *request.whitelist])
        )
        chosen = code or codes.FORCE_DISCONNECT
        chosen = DisconnectCode(chosen.code, chosen.reason or codes.default_reason(chosen.code))
        await self._sockets_of_cluster().disconnect(selection, chosen, whole=request.close)

    async def send(self, request: messages.Send) -> messages.Done:
        """Send a message to a user's connections, or to one connection."""
        _require_connections(request)
        data = _either("data", request.data, request.b64data)
        if not data:
            raise CommandError(codes.BAD_REQUEST, "data or b64data is needed")
        if len(data) > self._data_bytes:
            raise CommandError(codes.LIMIT_EXCEEDED, f"data has {len(data)} bytes, more than {self._data_bytes}")
        await self._api.send(_connections(request), Message(data, binary=bool(request.b64data)))
        return messages.Done()

    async def emit(self, request: messages.Emit) -> messages.Emitted:
        """Send an event to sockets of Socket.IO, and collect their acknowledgements."""
        if request.volatile and request.ack_timeout is not None:
            raise CommandError(codes.BAD_REQUEST, "volatile and ack_timeout: one of them")
        emission = self._emission(request)
        sockets = self._sockets_of_cluster()
        if request.ack_timeout is None:
            await sockets.emit(emission)
            return messages.Emitted()
        found = await sockets.collect(emission, request.ack_timeout)
        acks = [messages.SocketAck(ack.client, _raw(ack.data)) for ack in found.acks]
        return messages.Emitted(acks=acks, unanswered=found.unanswered, complete=found.complete)

    def _emission(self, request: messages.Emit) -> Emission:
        try:
            args = [_argument(number, bytes(arg)) for number, arg in enumerate(request.args)]
            emission = emission_of(_selection(request), [request.event, *args], volatile=request.volatile)
        except PacketError as error:
            code = codes.LIMIT_EXCEEDED if error.fault is Fault.TOO_MANY_ATTACHMENTS else codes.BAD_REQUEST
            raise CommandError(code, error.why) from error
        if emission.size > self._data_bytes:
            raise CommandError(
                codes.LIMIT_EXCEEDED, f"the event has {emission.size} bytes, more than {self._data_bytes}"
            )
        return emission

    async def join(self, request: messages.Join) -> messages.Moved:
        """Have sockets of Socket.IO join rooms."""
        count = await self._sockets_of_cluster().join(_selection(request), request.join)
        return messages.Moved(num_sockets=count)

    async def leave(self, request: messages.Leave) -> messages.Moved:
        """Have sockets of Socket.IO leave rooms."""
        count = await self._sockets_of_cluster().leave(_selection(request), request.leave)
        return messages.Moved(num_sockets=count)

    async def sockets(self, request: messages.Sockets) -> messages.FoundSockets:
        """A page of the sockets of Socket.IO, with their users and rooms."""
        page = await self._sockets_of_cluster().page(_selection(request), after=request.after, limit=request.limit)
        sockets = [
            messages.Socket(each.client, each.user, each.rooms, each.transport, _raw(each.info))
            for each in page.sockets
        ]
        following = UNSET if page.is_last else sockets[-1].client
        return messages.FoundSockets(sockets=sockets, num_sockets=page.total, next=following)

    def _sockets_of_cluster(self) -> ClusterSockets:
        if self._cluster_sockets is None:
            raise CommandError(codes.NOT_AVAILABLE, "Socket.IO is off")
        return self._cluster_sockets

    async def refresh(self, request: messages.Refresh) -> messages.Done:
        """Change when a user's connections expire: at a time, never, or now."""
        if request.expired and request.expire_at:
            raise CommandError(codes.BAD_REQUEST, "expired and expire_at: one of them")
        expires_at = float(request.expire_at) or None
        await self._api.refresh(_connections(request), expires_at=expires_at, expired=request.expired)
        return messages.Done()

    async def revoke(self, request: messages.Revoke) -> messages.Revoked:
        """Revoke tokens by id, by user, by time of issue: what they have let in ends, and they are refused."""
        wanted = Revoking(request.jti, request.user, request.issued_before, request.expire_at)
        return messages.Revoked(expire_at=math.ceil(await self._api.revoke(wanted)))

    async def presence(self, request: messages.OfChannel) -> messages.Presence:
        """Who is subscribed to a channel."""
        members = await self._api.presence(request.channel)
        return messages.Presence(presence={client: _client_info(info) for client, info in members.items()})

    async def presence_stats(self, request: messages.OfChannel) -> messages.PresenceStats:
        """How many are subscribed to a channel."""
        stats = await self._api.presence_stats(request.channel)
        return messages.PresenceStats(num_clients=stats.clients, num_users=stats.users)

    async def history(self, request: messages.History) -> messages.HistoryPage:
        """A part of a channel's stream, and its position."""
        query = HistoryQuery(request.limit, _position(request.since), request.reverse)
        page = await self._api.history(request.channel, query)
        publications = [_publication(publication) for publication in page.publications]
        return messages.HistoryPage(publications=publications, epoch=page.position.epoch, offset=page.position.offset)

    async def history_remove(self, request: messages.OfChannel) -> messages.Done:
        """Drop what is kept of a channel; its position goes on counting."""
        await self._api.history_remove(request.channel)
        return messages.Done()

    async def channels(self, request: messages.Channels) -> messages.FoundChannels:
        """Channels that have subscribers on any server, and how many."""
        found = await self._api.channels(request.pattern)
        channels = {channel: messages.ChannelInfo(count) for channel, count in sorted(found.items())}
        return messages.FoundChannels(channels=channels)

    async def info(self, _request: messages.EmptyRequest) -> messages.Info:
        """All workers of the cluster."""
        nodes = [
            messages.NodeInfo(
                node.uid, node.name, node.version, node.clients, node.users, node.channels, node.uptime_seconds
            )
            for node in await self._api.info()
        ]
        return messages.Info(nodes=nodes)


class ApiMethod(Protocol):
    """A method of the API: what it takes and answers, in one sentence what it does, and how it is called."""

    @property
    def request(self) -> type[Struct]:
        """What it takes."""

    @property
    def result(self) -> type[Struct]:
        """What it answers."""

    @property
    def summary(self) -> str:
        """What it does."""

    async def answer(self, handlers: ApiHandlers, body: bytes) -> Struct:
        """Carry it out. Raises CommandError, BackplaneError, or what msgspec raises for a body that does not fit."""


class Method(Generic[Request, Result]):
    """Implements ApiMethod: a handler with its types."""

    def __init__(
        self, request: type[Request], result: type[Result], handler: Callable[[ApiHandlers, Request], Awaitable[Result]]
    ) -> None:
        self.request = request
        self.result = result
        self.summary = (handler.__doc__ or "").strip().removesuffix(".")
        self._handler = handler
        self._decoder = msgspec.json.Decoder(request)

    async def answer(self, handlers: ApiHandlers, body: bytes) -> Result:
        """See ApiMethod."""
        return await self._handler(handlers, self._decoder.decode(body))


METHODS: Mapping[str, ApiMethod] = {
    "publish": Method(messages.Publish, messages.Published, ApiHandlers.publish),
    "broadcast": Method(messages.Broadcast, messages.Broadcasted, ApiHandlers.broadcast),
    "subscribe": Method(messages.Subscribe, messages.Done, ApiHandlers.subscribe),
    "unsubscribe": Method(messages.Unsubscribe, messages.Done, ApiHandlers.unsubscribe),
    "disconnect": Method(messages.Disconnect, messages.Done, ApiHandlers.disconnect),
    "send": Method(messages.Send, messages.Done, ApiHandlers.send),
    "emit": Method(messages.Emit, messages.Emitted, ApiHandlers.emit),
    "join": Method(messages.Join, messages.Moved, ApiHandlers.join),
    "leave": Method(messages.Leave, messages.Moved, ApiHandlers.leave),
    "sockets": Method(messages.Sockets, messages.FoundSockets, ApiHandlers.sockets),
    "refresh": Method(messages.Refresh, messages.Done, ApiHandlers.refresh),
    "revoke": Method(messages.Revoke, messages.Revoked, ApiHandlers.revoke),
    "presence": Method(messages.OfChannel, messages.Presence, ApiHandlers.presence),
    "presence_stats": Method(messages.OfChannel, messages.PresenceStats, ApiHandlers.presence_stats),
    "history": Method(messages.History, messages.HistoryPage, ApiHandlers.history),
    "history_remove": Method(messages.OfChannel, messages.Done, ApiHandlers.history_remove),
    "channels": Method(messages.Channels, messages.FoundChannels, ApiHandlers.channels),
    "info": Method(messages.EmptyRequest, messages.Info, ApiHandlers.info),
}
"""All methods but `batch`, which carries out these."""


def error_of(error: ErrorCode, why: str = "") -> messages.Error:
    """Return an error in the form that the caller gets."""
    return messages.Error(error.code, f"{error.message}: {why}" if why else error.message)


AWAY = messages.BroadcastResponse(error=error_of(codes.INTERNAL))


class _AboutConnections(Protocol):
    @property
    def user(self) -> str: ...
    @property
    def client(self) -> str: ...
    @property
    def session(self) -> str: ...


def _connections(request: _AboutConnections) -> Connections:
    return Connections(request.user, request.client, request.session)


def _selection(request: messages.OfSockets) -> SocketSelection:
    return SocketSelection(request.namespace, frozenset(request.rooms), frozenset(request.excluded))


def _require_connections(request: _AboutConnections) -> None:
    """Raise CommandError BAD_REQUEST for a call that is about nobody's connections."""
    if not request.user and not request.client:
        raise CommandError(codes.BAD_REQUEST, "user or client is needed")


def _position(position: messages.Position | None) -> StreamPosition | None:
    return None if position is None else StreamPosition(position.offset, position.epoch)


def _either(name: str, raw: Raw | UnsetType, encoded: str) -> bytes | None:
    """Return the bytes of a field or of its base64 twin, None if both are absent."""
    if raw is not UNSET and encoded:
        raise CommandError(codes.BAD_REQUEST, f"{name} and b64{name}: one of them")
    if raw is not UNSET:
        return bytes(raw)
    try:
        return base64.b64decode(encoded, validate=True) if encoded else None
    except ValueError:
        raise CommandError(codes.BAD_REQUEST, f"b64{name}: is not base64") from None


def _client_info(info: ClientInfo) -> messages.ClientInfo:
    return messages.ClientInfo(info.user, info.client, _raw(info.connection_info), _raw(info.channel_info))


def _argument(number: int, document: bytes) -> Value:
    """Return an argument of an event. Raises CommandError, which says which it is."""
    try:
        return decode_base64(document)
    except PacketError as error:
        raise CommandError(codes.BAD_REQUEST, f"args[{number}]: {error.why}") from error


def _raw(document: bytes | None) -> Raw | UnsetType:
    return UNSET if document is None else Raw(document)


def _publication(publication: Publication) -> messages.KeptPublication:
    content = content_in(publication)
    return messages.KeptPublication(
        Raw(json_data(content)),
        info=UNSET if content.info is None else _client_info(content.info),
        tags=content.tags or UNSET,
        offset=publication.offset or UNSET,
    )
