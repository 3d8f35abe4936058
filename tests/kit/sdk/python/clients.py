"""Holds N stock clients of any centrifuge-python; options, events and calls are those of ../clients.mjs.

It runs in an environment that has that SDK and nothing of this repository.
"""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any, cast

from centrifuge import Client, ClientEventHandler, ReplyError, SubscriptionEventHandler
from centrifuge import contexts as sdk

LINE_BYTES = 4 * 1024 * 1024
Line = dict[str, Any]


def write(line: Line) -> None:
    """Write one line at once."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def report(event: str, client: int, **fields: object) -> None:
    """Report an event of a client."""
    write({"event": event, "client": client, "at": time.time(), **fields})


def from_wire(data: object) -> object:
    """Return data as JSON; what is none and came in Protobuf is shown in base64."""
    if not isinstance(data, bytes):
        return data
    try:
        return cast("object", json.loads(data.decode()))
    except ValueError:
        return {"base64": base64.b64encode(data).decode()}


class ClientEvents(ClientEventHandler):  # type: ignore[misc]  # the SDK publishes no types
    """Reports what happens to a client, and to subscriptions that the server makes."""

    def __init__(self, client: int) -> None:
        self._client = client

    async def on_connecting(self, ctx: sdk.ConnectingContext) -> None:
        """Report a connect, or a lost connection."""
        report("connecting", self._client, code=ctx.code, reason=ctx.reason)

    async def on_connected(self, ctx: sdk.ConnectedContext) -> None:
        """Report a connection."""
        report("connected", self._client, id=ctx.client)

    async def on_disconnected(self, ctx: sdk.DisconnectedContext) -> None:
        """Report the end."""
        report("disconnected", self._client, code=ctx.code, reason=ctx.reason)

    async def on_error(self, ctx: sdk.ErrorContext) -> None:
        """Report an error that the SDK met."""
        report("error", self._client, code=ctx.code, message=str(ctx.error), channel="")

    async def on_subscribed(self, ctx: sdk.ServerSubscribedContext) -> None:
        """Report a server-side subscription."""
        report_subscribed(self._client, ctx.channel, ctx)

    async def on_unsubscribed(self, ctx: sdk.ServerUnsubscribedContext) -> None:
        """Report the end of a server-side subscription."""
        report("unsubscribed", self._client, channel=ctx.channel, code=0, reason="")

    async def on_publication(self, ctx: sdk.ServerPublicationContext) -> None:
        """Report a publication in a server-side subscription."""
        report_publication(self._client, ctx.channel, ctx.pub)


class SubscriptionEvents(SubscriptionEventHandler):  # type: ignore[misc]  # the SDK publishes no types
    """Reports what happens to a subscription."""

    def __init__(self, client: int, channel: str) -> None:
        self._client = client
        self._channel = channel

    async def on_subscribing(self, ctx: sdk.SubscribingContext) -> None:
        """Report a subscribe."""
        report("subscribing", self._client, channel=self._channel, code=ctx.code, reason=ctx.reason)

    async def on_subscribed(self, ctx: sdk.SubscribedContext) -> None:
        """Report a subscription."""
        report_subscribed(self._client, self._channel, ctx)

    async def on_unsubscribed(self, ctx: sdk.UnsubscribedContext) -> None:
        """Report the end of a subscription."""
        report("unsubscribed", self._client, channel=self._channel, code=ctx.code, reason=ctx.reason)

    async def on_publication(self, ctx: sdk.PublicationContext) -> None:
        """Report a publication."""
        report_publication(self._client, self._channel, ctx.pub)

    async def on_error(self, ctx: sdk.SubscriptionErrorContext) -> None:
        """Report an error that the SDK met."""
        report("error", self._client, code=ctx.code, message=str(ctx.error), channel=self._channel)


def report_subscribed(client: int, channel: str, ctx: sdk.SubscribedContext | sdk.ServerSubscribedContext) -> None:
    """Report a subscription with its position."""
    position = ctx.stream_position
    report(
        "subscribed",
        client,
        channel=channel,
        wasRecovering=ctx.was_recovering,
        recovered=ctx.recovered,
        offset=None if position is None else position.offset,
        epoch=None if position is None else position.epoch,
    )


def report_publication(client: int, channel: str, publication: Any) -> None:  # noqa: ANN401 - the SDK has no types
    """Report a publication."""
    data = from_wire(publication.data)
    report("publication", client, channel=channel, offset=publication.offset or None, data=data)


class Clients:
    """The clients, and the calls to them."""

    def __init__(self, options: Line) -> None:
        self._options = options
        self._waiting: dict[tuple[int, str], asyncio.Future[str]] = {}
        self._clients = [self._make(index) for index in range(options.get("clients", 1))]

    async def connect(self) -> None:
        """Subscribe and connect all, at the wanted rate."""
        rate = self._options.get("connectsPerSecond", 0)
        for index, client in enumerate(self._clients):
            for channel in self._options.get("channels", []):
                await self._subscribe(index, channel)
            await client.connect()
            await asyncio.sleep(1 / rate if rate else 0)

    async def disconnect(self) -> None:
        """Disconnect all."""
        for client in self._clients:
            await client.disconnect()

    async def take(self, line: Line) -> None:
        """Perform a call and answer it."""
        try:
            result = await self._perform(line["client"], line["method"], line.get("params", {}))
        except ReplyError as error:
            write({"event": "reply", "call": line["call"], "error": {"code": error.code, "message": error.message}})
        except Exception as error:  # noqa: BLE001 - the parent is told
            write({"event": "reply", "call": line["call"], "error": {"code": 0, "message": repr(error)}})
        else:
            write({"event": "reply", "call": line["call"], "result": result})

    def _make(self, index: int) -> Client:
        options = self._options
        tokens = options.get("tokens", [])
        delays = (options.get("minReconnectDelay", 100), options.get("maxReconnectDelay", 20_000))
        return Client(
            options["endpoints"][index % len(options["endpoints"])],
            events=ClientEvents(index),
            token=tokens[index] if index < len(tokens) else "",
            get_token=self._asks(index) if options.get("askTokens") else None,
            use_protobuf=options.get("protobuf", False),
            min_reconnect_delay=delays[0] / 1000,
            max_reconnect_delay=delays[1] / 1000,
        )

    def _asks(self, client: int) -> Callable[[], Awaitable[str]]:
        async def ask() -> str:
            report("token", client)
            return await self._given(client, "")

        return ask

    async def _given(self, client: int, channel: str) -> str:
        self._waiting[client, channel] = asyncio.get_running_loop().create_future()
        return await self._waiting[client, channel]

    async def _subscribe(self, index: int, channel: Line) -> None:
        subscription = self._clients[index].get_subscription(channel["name"])
        if subscription is None:
            subscription = self._new_subscription(index, channel)
        await subscription.subscribe()

    def _new_subscription(self, index: int, channel: Line) -> Any:  # noqa: ANN401 - the SDK has no types
        async def ask(name: str) -> str:
            report("subscription_token", index, channel=name)
            return await self._given(index, name)

        return self._clients[index].new_subscription(
            channel["name"],
            events=SubscriptionEvents(index, channel["name"]),
            token=channel.get("token", ""),
            get_token=ask if channel.get("askToken") else None,
            min_resubscribe_delay=self._options.get("minReconnectDelay", 100) / 1000,
            max_resubscribe_delay=self._options.get("maxReconnectDelay", 10_000) / 1000,
            recoverable=channel.get("recoverable", False),
            join_leave=channel.get("joinLeave", False),
        )

    def _to_wire(self, data: object) -> object:
        return json.dumps(data).encode() if self._options.get("protobuf") else data

    async def _perform(self, index: int, method: str, params: Line) -> Line:
        client = self._clients[index]
        if method in {"connect", "disconnect"}:
            await getattr(client, method)()
        elif method == "subscribe":
            await self._subscribe(index, {**params, "name": params["channel"]})
        elif method == "unsubscribe":
            await client.get_subscription(params["channel"]).unsubscribe()
        elif method == "publish":
            await client.publish(params["channel"], self._to_wire(params["data"]))
        elif method == "rpc":
            return {"data": from_wire((await client.rpc(params["method"], self._to_wire(params["data"]))).data)}
        elif method in {"token", "subscription_token"}:
            self._waiting.pop((index, params.get("channel", ""))).set_result(params["token"])
        else:
            raise ValueError(method)
        return {}


async def main() -> None:
    """Read calls until the input ends."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    clients = Clients(json.loads(sys.argv[1]))
    connecting = asyncio.create_task(clients.connect())
    calls: set[asyncio.Task[None]] = set()
    async for text in reader:
        call = asyncio.create_task(clients.take(json.loads(text)))
        calls.add(call)
        call.add_done_callback(calls.discard)
    connecting.cancel()
    await clients.disconnect()


if __name__ == "__main__":
    asyncio.run(main())
