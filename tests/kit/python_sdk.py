"""The stock Python SDK (`centrifuge-python` from PyPI), in the test's own process, with the events of the kit."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from dataclasses import asdict
from typing import Self, cast

import centrifuge
from centrifuge import (
    Client,
    ClientEventHandler,
    DeltaType,
    ReplyError,
    SubscriptionEventHandler,
)
from centrifuge import contexts as sdk
from centrifuge.types import StreamPosition

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.clients import (
    CallRefusedError,
    Channel,
    ClientOptions,
    Connected,
    Connecting,
    Disconnected,
    ErrorReported,
    Joined,
    Left,
    Publication,
    Record,
    Subscribed,
    Subscribing,
    Unsubscribed,
)


class _ClientEvents(ClientEventHandler):  # type: ignore[misc]  # the SDK publishes no types
    def __init__(self, client: int, record: Record) -> None:
        self._client = client
        self._record = record

    async def on_connecting(self, ctx: sdk.ConnectingContext) -> None:
        self._record.add(Connecting(self._client, time.time(), ctx.code, ctx.reason))

    async def on_connected(self, ctx: sdk.ConnectedContext) -> None:
        self._record.add(Connected(self._client, time.time(), ctx.client))

    async def on_disconnected(self, ctx: sdk.DisconnectedContext) -> None:
        self._record.add(Disconnected(self._client, time.time(), ctx.code, ctx.reason))

    async def on_error(self, ctx: sdk.ErrorContext) -> None:
        self._record.add(ErrorReported(self._client, time.time(), ctx.code, str(ctx.error)))

    # subscriptions that the server makes

    async def on_subscribed(self, ctx: sdk.ServerSubscribedContext) -> None:
        self._record.add(_subscribed(self._client, ctx.channel, ctx))

    async def on_unsubscribed(self, ctx: sdk.ServerUnsubscribedContext) -> None:
        self._record.add(Unsubscribed(self._client, time.time(), ctx.channel, 0, ""))

    async def on_publication(self, ctx: sdk.ServerPublicationContext) -> None:
        self._record.add(_publication(self._client, ctx.channel, ctx.pub))

    async def on_join(self, ctx: sdk.ServerJoinContext) -> None:
        self._record.add(Joined(self._client, time.time(), ctx.channel, ctx.info.user, ctx.info.client))

    async def on_leave(self, ctx: sdk.ServerLeaveContext) -> None:
        self._record.add(Left(self._client, time.time(), ctx.channel, ctx.info.user, ctx.info.client))


class _SubscriptionEvents(SubscriptionEventHandler):  # type: ignore[misc]  # the SDK publishes no types
    def __init__(self, client: int, channel: str, record: Record) -> None:
        self._client = client
        self._channel = channel
        self._record = record

    async def on_subscribing(self, ctx: sdk.SubscribingContext) -> None:
        self._record.add(Subscribing(self._client, time.time(), self._channel, ctx.code, ctx.reason))

    async def on_subscribed(self, ctx: sdk.SubscribedContext) -> None:
        self._record.add(_subscribed(self._client, self._channel, ctx))

    async def on_unsubscribed(self, ctx: sdk.UnsubscribedContext) -> None:
        self._record.add(Unsubscribed(self._client, time.time(), self._channel, ctx.code, ctx.reason))

    async def on_publication(self, ctx: sdk.PublicationContext) -> None:
        self._record.add(_publication(self._client, self._channel, ctx.pub))

    async def on_join(self, ctx: sdk.JoinContext) -> None:
        self._record.add(Joined(self._client, time.time(), self._channel, ctx.info.user, ctx.info.client))

    async def on_leave(self, ctx: sdk.LeaveContext) -> None:
        self._record.add(Left(self._client, time.time(), self._channel, ctx.info.user, ctx.info.client))

    async def on_error(self, ctx: sdk.SubscriptionErrorContext) -> None:
        self._record.add(ErrorReported(self._client, time.time(), ctx.code, str(ctx.error)))


def _subscribed(client: int, channel: str, ctx: sdk.SubscribedContext | sdk.ServerSubscribedContext) -> Subscribed:
    position = ctx.stream_position
    return Subscribed(
        client=client,
        at=time.time(),
        channel=channel,
        was_recovering=ctx.was_recovering,
        recovered=ctx.recovered,
        offset=None if position is None else position.offset,
        epoch=None if position is None else position.epoch,
    )


def _publication(client: int, channel: str, publication: centrifuge.Publication) -> Publication:
    return Publication(client, time.time(), channel, publication.offset or None, _from_wire(publication.data))


def _from_wire(data: JsonValue | bytes) -> JsonValue:
    """Decode data as JSON; other data, in Protobuf, is returned in base64."""
    if not isinstance(data, bytes):
        return data
    try:
        return cast("JsonValue", json.loads(data.decode()))
    except ValueError:
        return {"base64": base64.b64encode(data).decode()}


class PythonClients:
    """A group of Python clients."""

    def __init__(self, options: ClientOptions) -> None:
        self.options = options
        self.record = Record()
        self._clients = [self._make(index) for index in range(options.count)]

    async def __aenter__(self) -> Self:
        """Start to connect the clients at the wanted rate, and to subscribe them."""
        pause = 1 / self.options.connects_per_second if self.options.connects_per_second else 0
        for index, client in enumerate(self._clients):
            for channel in self.options.channels_of(index):
                await self._subscribe(index, channel)
            await client.connect()
            await asyncio.sleep(pause)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Disconnect the clients."""
        for client in self._clients:
            await client.disconnect()
        await asyncio.sleep(0.05)  # the SDK closes its sockets in tasks that nobody can await

    async def call(self, client: int, method: str, /, **params: JsonValue) -> JsonObject:
        """Make a client call a method of its SDK; raises CallRefusedError when the server answers with an error.

        The results have the names of the JavaScript SDK.
        """
        try:
            return await self._call(client, method, params)
        except ReplyError as error:
            raise CallRefusedError(error.code, error.message) from error

    def _make(self, index: int) -> Client:
        options = self.options
        renew = options.renew_token

        async def get_token() -> str:
            assert renew is not None
            return renew(index)

        client = Client(
            options.endpoints[index % len(options.endpoints)],
            events=_ClientEvents(index, self.record),
            token=options.tokens[index] if index < len(options.tokens) else "",
            get_token=None if renew is None else get_token,
            proxy=None,
            use_protobuf=options.protobuf,
        )
        if options.min_reconnect_delay is not None:
            client._min_reconnect_delay = options.min_reconnect_delay
        if options.max_reconnect_delay is not None:
            client._max_reconnect_delay = options.max_reconnect_delay
        return client

    async def _subscribe(self, index: int, channel: Channel) -> None:
        client = self._clients[index]
        subscription = client.get_subscription(channel.name)
        if subscription is None:
            subscription = client.new_subscription(
                channel.name,
                events=_SubscriptionEvents(index, channel.name, self.record),
                recoverable=channel.recoverable,
                join_leave=channel.join_leave,
                delta=DeltaType.FOSSIL if channel.delta else None,
            )
        await subscription.subscribe()

    def _to_wire(self, data: JsonValue) -> JsonValue | bytes:
        return json.dumps(data).encode() if self.options.protobuf else data

    async def _call(self, index: int, method: str, params: JsonObject) -> JsonObject:
        client = self._clients[index]
        match method:
            case "connect" | "disconnect":
                await getattr(client, method)()
            case "subscribe":
                await self._subscribe(index, Channel(str(params["channel"]), params.get("recoverable") is True))
            case "unsubscribe":
                await client.get_subscription(params["channel"]).unsubscribe()
            case "publish":
                await client.publish(params["channel"], self._to_wire(params["data"]))
            case "rpc":
                return {"data": _from_wire((await client.rpc(params["method"], self._to_wire(params["data"]))).data)}
            case "presence" | "presence_stats" | "history":
                return await self._ask(client, method, dict(params))
            case _:
                raise ValueError(method)
        return {}

    async def _ask(self, client: Client, method: str, params: JsonObject) -> JsonObject:
        channel = params.pop("channel")
        if method == "presence_stats":
            stats = await client.presence_stats(channel)
            return {"numClients": stats.num_clients, "numUsers": stats.num_users}
        if method == "presence":
            presence = await client.presence(channel)
            return {"clients": {key: _client_info(value) for key, value in presence.clients.items()}}
        since = params.pop("since", None)
        if isinstance(since, dict):
            params["since"] = cast("JsonValue", StreamPosition(**since))
        history = asdict(await client.history(channel, **params))
        for publication in history["publications"]:
            publication["data"] = _from_wire(publication["data"])
        return cast("JsonObject", history)


def _client_info(info: object) -> JsonObject:
    fields = asdict(info)  # type: ignore[call-overload]  # the SDK publishes no types
    return {
        "client": fields["client"],
        "user": fields["user"],
        "connInfo": _from_wire(fields["conn_info"]),
        "chanInfo": _from_wire(fields["chan_info"]),
    }
