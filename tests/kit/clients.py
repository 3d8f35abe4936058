"""Typed events of stock clients of any SDK, and queries on them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self, TypeAlias

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.deadline import DeadlineMissedError


@dataclass(frozen=True, slots=True)
class Connecting:
    """A client connects for the first time (code 0), or again after a lost connection, for the reason in `code`."""

    client: int
    at: float
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Connected:
    """A client is connected; `id` was assigned by the server."""

    client: int
    at: float
    id: str


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A client is disconnected and does not reconnect by itself."""

    client: int
    at: float
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Subscribing:
    """A client sends a subscribe, for the first time or again."""

    client: int
    at: float
    channel: str
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A client is subscribed; `recovered` is valid only with `was_recovering`."""

    client: int
    at: float
    channel: str
    was_recovering: bool
    recovered: bool
    offset: int | None
    epoch: str | None


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """A client is unsubscribed and does not subscribe again by itself."""

    client: int
    at: float
    channel: str
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Publication:
    """A publication was delivered to the application."""

    client: int
    at: float
    channel: str
    offset: int | None
    data: JsonValue


@dataclass(frozen=True, slots=True)
class ErrorReported:
    """An SDK has reported an error to the application."""

    client: int
    at: float
    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Joined:
    """A client received a join: `user` has subscribed through connection `who`."""

    client: int
    at: float
    channel: str
    user: str
    who: str


@dataclass(frozen=True, slots=True)
class Left:
    """A client received a leave."""

    client: int
    at: float
    channel: str
    user: str
    who: str


Event = (
    Connecting
    | Connected
    | Disconnected
    | Subscribing
    | Subscribed
    | Unsubscribed
    | Publication
    | ErrorReported
    | Joined
    | Left
)


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel that every client subscribes to; `delta` requests differences in Fossil's format."""

    name: str
    recoverable: bool = False
    join_leave: bool = False
    delta: bool = False


Transport: TypeAlias = Literal["websocket", "sse", "http_stream"]


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """Options of stock clients. Client i uses endpoints[i % len(endpoints)] and tokens[i], if there is one.

    `renew_token` is called with a client's number when its SDK requests a new token, `renew_subscription_token` with
    the channel too (only by programs of tests/kit/sdk.py, for subscriptions with `askToken`). Delays are in seconds;
    None keeps the SDK's default. `connects_per_second` 0 connects all at once. With `protobuf` data is JSON as bytes.
    `endpoints` are WebSocket URLs for every `transport`; only the JavaScript SDK has other transports. `spread`: client
    i subscribes to channels[i % len(channels)] alone (only JavaScriptClients and PythonClients).
    """

    endpoints: Sequence[str]
    count: int = 1
    channels: Sequence[Channel] = ()
    tokens: Sequence[str] = ()
    renew_token: Callable[[int], str] | None = None
    renew_subscription_token: Callable[[int, str], str] | None = None
    min_reconnect_delay: float | None = None
    max_reconnect_delay: float | None = None
    connects_per_second: float = 0
    protobuf: bool = False
    transport: Transport = "websocket"
    spread: bool = False

    def channels_of(self, client: int) -> Sequence[Channel]:
        """Return the channels that a client subscribes to."""
        return [self.channels[client % len(self.channels)]] if self.spread else self.channels


class CallRefusedError(Exception):
    """The server answered a call of a client with an error."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


class Record:
    """All events of a group of clients in order, with a way to wait for more."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.connected: set[int] = set()
        """Clients that are connected at the moment."""
        self.subscribed: set[tuple[int, str]] = set()
        """(client, channel) of the current subscriptions."""
        self._publications: list[Publication] = []
        self._changed = asyncio.Event()

    def add(self, event: Event) -> None:
        """Append an event and wake waiters."""
        self.events.append(event)
        match event:
            case Publication():
                self._publications.append(event)
            case Connected():
                self.connected.add(event.client)
            case Connecting() | Disconnected():
                self.connected.discard(event.client)
                self.subscribed = {pair for pair in self.subscribed if pair[0] != event.client}
            case Subscribed():
                self.subscribed.add((event.client, event.channel))
            case Subscribing() | Unsubscribed():
                self.subscribed.discard((event.client, event.channel))
            case ErrorReported() | Joined() | Left():
                pass
        self._changed.set()

    async def wait(self, fact: Callable[[Record], bool], *, what: str, within: float = 10) -> None:
        """Wait until `fact` holds; raises DeadlineMissedError with the last events after `within` seconds."""
        deadline = time.monotonic() + within
        while not fact(self):
            self._changed.clear()
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await self._changed.wait()
            except TimeoutError:
                tail = "\n  ".join(repr(event) for event in self.events[-12:])
                raise DeadlineMissedError(f"not within {within:g} s: {what}; last events:\n  {tail}") from None

    def publications(self, channel: str | None = None, client: int | None = None) -> list[Publication]:
        """Return the deliveries, in order."""
        return [
            event
            for event in self._publications
            if (channel is None or event.channel == channel) and (client is None or event.client == client)
        ]

    def subscriptions(self) -> list[Subscribed]:
        """Return every successful subscribe, in order."""
        return [event for event in self.events if isinstance(event, Subscribed)]

    def recoveries(self) -> list[Subscribed]:
        """Return the successful subscribes that requested recovery."""
        return [event for event in self.subscriptions() if event.was_recovering]

    def lost_connections(self) -> list[Connecting]:
        """Return the events at which a client that was connected reconnects.

        Explicit connects (code 0) are left out.
        """
        seen: set[int] = set()
        lost: list[Connecting] = []
        for event in self.events:
            if isinstance(event, Connected):
                seen.add(event.client)
            elif isinstance(event, Connecting) and event.client in seen and event.code != 0:
                lost.append(event)
        return lost

    def reconnects(self) -> list[float]:
        """Return the times of reconnects, without the first connect of each client."""
        seen: set[int] = set()
        times: list[float] = []
        for event in self.events:
            if isinstance(event, Connected):
                if event.client in seen:
                    times.append(event.at)
                seen.add(event.client)
        return times

    def first(self, kind: type[Event], client: int | None = None) -> Event | None:
        """Return the first event of a kind; None without one."""
        return next((e for e in self.events if isinstance(e, kind) and (client is None or e.client == client)), None)


class StockClients(Protocol):
    """A group of clients of one SDK."""

    record: Record
    options: ClientOptions

    async def call(self, client: int, method: str, /, **params: JsonValue) -> JsonObject:
        """Call a protocol command by its name, or connect, disconnect, delta_stats (JavaScript only).

        Raises CallRefusedError when the server answers with an error.
        """

    async def __aenter__(self) -> Self:
        """Start and connect the clients."""

    async def __aexit__(self, *_: object) -> None:
        """Disconnect the clients and end their process."""


async def all_connected(clients: StockClients, *, within: float = 15) -> None:
    """Wait until every client is connected."""
    count = clients.options.count
    await clients.record.wait(lambda r: len(r.connected) == count, what=f"{count} clients connected", within=within)


async def all_subscribed(clients: StockClients, *, within: float = 15) -> None:
    """Wait until every client is subscribed to each of its channels."""
    options = clients.options
    wanted = sum(len(options.channels_of(client)) for client in range(options.count))
    await clients.record.wait(lambda r: len(r.subscribed) == wanted, what=f"{wanted} subscriptions", within=within)
