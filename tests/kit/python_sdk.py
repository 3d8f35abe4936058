"""The stock Python SDK (`centrifuge-python` from PyPI), in the test's own process, with the events of the kit."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict
from typing import Self, cast

from centrifuge import (
    Client,
    ClientEventHandler,
    ReplyError,
    SubscriptionEventHandler,
)
from centrifuge import contexts as sdk
from centrifuge.types import StreamPosition

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.clients import (
    CallRefusedError,
    ClientOptions,
    Connected,
    Connecting,
    Disconnected,
    ErrorReported,
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


class _SubscriptionEvents(SubscriptionEventHandler):  # type: ignore[misc]  # the SDK publishes no types
    def __init__(self, client: int, channel: str, record: Record) -> None:
        self._client = client
        self._channel = channel
        self._record = record

    async def on_subscribing(self, ctx: sdk.SubscribingContext) -> None:
        self._record.add(Subscribing(self._client, time.time(), self._channel, ctx.code, ctx.reason))

    async def on_subscribed(self, ctx: sdk.SubscribedContext) -> None:
        position = ctx.stream_position
        self._record.add(
            Subscribed(
                client=self._client,
                at=time.time(),
                channel=self._channel,
                was_recovering=ctx.was_recovering,
                recovered=ctx.recovered,
                offset=None if position is None else position.offset,
                epoch=None if position is None else position.epoch,
            )
        )

    async def on_unsubscribed(self, ctx: sdk.UnsubscribedContext) -> None:
        self._record.add(Unsubscribed(self._client, time.time(), self._channel, ctx.code, ctx.reason))

    async def on_publication(self, ctx: sdk.PublicationContext) -> None:
        publication = ctx.pub
        offset = publication.offset or None
        self._record.add(Publication(self._client, time.time(), self._channel, offset, publication.data))

    async def on_error(self, ctx: sdk.SubscriptionErrorContext) -> None:
        self._record.add(ErrorReported(self._client, time.time(), ctx.code, str(ctx.error)))


class PythonClients:
    """A group of Python clients."""

    def __init__(self, options: ClientOptions) -> None:
        self.options = options
        self.record = Record()
        self._clients = [self._make(index) for index in range(options.count)]

    async def __aenter__(self) -> Self:
        """Begin to connect the clients, at the wanted rate, and to subscribe them."""
        pause = 1 / self.options.connects_per_second if self.options.connects_per_second else 0
        for index, client in enumerate(self._clients):
            for channel in self.options.channels:
                await self._subscribe(index, channel.name, channel.recoverable)
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
        )
        if options.min_reconnect_delay is not None:
            client._min_reconnect_delay = options.min_reconnect_delay
        if options.max_reconnect_delay is not None:
            client._max_reconnect_delay = options.max_reconnect_delay
        return client

    async def _subscribe(self, index: int, channel: str, recoverable: bool) -> None:
        client = self._clients[index]
        subscription = client.get_subscription(channel)
        if subscription is None:
            events = _SubscriptionEvents(index, channel, self.record)
            subscription = client.new_subscription(channel, events=events, recoverable=recoverable)
        await subscription.subscribe()

    async def _call(self, index: int, method: str, params: JsonObject) -> JsonObject:
        client = self._clients[index]
        match method:
            case "connect" | "disconnect":
                await getattr(client, method)()
            case "subscribe":
                await self._subscribe(index, str(params["channel"]), params.get("recoverable") is True)
            case "unsubscribe":
                await client.get_subscription(params["channel"]).unsubscribe()
            case "publish":
                await client.publish(params["channel"], params["data"])
            case "rpc":
                return {"data": (await client.rpc(params["method"], params["data"])).data}
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
        return cast("JsonObject", asdict(await client.history(channel, **params)))


def _client_info(info: object) -> JsonObject:
    fields = asdict(info)  # type: ignore[call-overload]  # the SDK publishes no types
    return {
        "client": fields["client"],
        "user": fields["user"],
        "connInfo": fields["conn_info"],
        "chanInfo": fields["chan_info"],
    }
