"""A stock client (centrifuge-python), for commands that connect as applications do."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import centrifuge
import jwt

from realtime_operator import naming
from realtime_operator.api.base import JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.cli.target import ClientEndpoint, Target, credential, signing_token
from realtime_operator.errors import InputError, UnreachableError

CONNECT_SECONDS = 10.0
TOKEN_SECONDS = 3600
CLOSING_SECONDS = 0.1
"""Seconds for the SDK to close its sockets, in tasks that cannot be awaited."""


@dataclass(frozen=True, slots=True)
class Message:
    """A publication as received; `at` is the local time of its arrival in seconds since the epoch."""

    at: float
    channel: str
    offset: int | None
    data: JsonValue


class _ClientEvents(centrifuge.ClientEventHandler):  # type: ignore[misc]  # the SDK publishes no types
    def __init__(self, on_state: Callable[[str], None]) -> None:
        self._on_state = on_state

    async def on_connecting(self, ctx: centrifuge.ConnectingContext) -> None:
        if ctx.code:
            self._on_state(f"connection lost ({ctx.code}: {ctx.reason}), connecting again")

    async def on_disconnected(self, ctx: centrifuge.DisconnectedContext) -> None:
        if ctx.code:
            self._on_state(f"disconnected for good ({ctx.code}: {ctx.reason})")


class _SubscriptionEvents(centrifuge.SubscriptionEventHandler):  # type: ignore[misc]  # the SDK publishes no types
    def __init__(self, channel: str, on_message: Callable[[Message], None], on_state: Callable[[str], None]) -> None:
        self._channel = channel
        self._on_message = on_message
        self._on_state = on_state
        self.refused: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def on_subscribed(self, ctx: centrifuge.SubscribedContext) -> None:
        if ctx.was_recovering:
            self._on_state(
                "subscribed again, " + ("nothing was missed" if ctx.recovered else "some messages were missed")
            )

    async def on_unsubscribed(self, ctx: centrifuge.UnsubscribedContext) -> None:
        if ctx.code and not self.refused.done():
            self.refused.set_result(f"{ctx.code}: {ctx.reason}")

    async def on_publication(self, ctx: centrifuge.PublicationContext) -> None:
        self._on_message(Message(time.time(), self._channel, ctx.pub.offset or None, ctx.pub.data))


@contextlib.asynccontextmanager
async def subscribed(
    endpoint: ClientEndpoint,
    token: str,
    channel: str,
    on_message: Callable[[Message], None],
    on_state: Callable[[str], None] = lambda _: None,
) -> AsyncIterator[None]:
    """Subscribe to a channel while the body runs.

    Raises UnreachableError when there is no connection in time, InputError when the subscription is refused.
    """
    client = centrifuge.Client(
        endpoint.url,
        events=_ClientEvents(on_state),
        token=token,
        headers=dict(endpoint.headers),
        ssl_context=endpoint.ssl_context,
        name="realtime", timeout=CONNECT_SECONDS,
    )  # fmt: skip
    events = _SubscriptionEvents(channel, on_message, on_state)
    subscription = client.new_subscription(channel, events=events, recoverable=True)
    try:
        await client.connect()
        await _ready(client, subscription, events, endpoint, channel)
        yield
    finally:
        await client.disconnect()
        await asyncio.sleep(CLOSING_SECONDS)


async def _ready(
    client: centrifuge.Client,
    subscription: centrifuge.Subscription,
    events: _SubscriptionEvents,
    endpoint: ClientEndpoint,
    channel: str,
) -> None:
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await client.ready()
    except (TimeoutError, centrifuge.CentrifugeError) as error:
        raise UnreachableError(f"{endpoint.url}: no connection within {CONNECT_SECONDS:g} s: {error}") from error
    try:
        await subscription.subscribe()
        async with asyncio.timeout(CONNECT_SECONDS):
            await subscription.ready()
    except (TimeoutError, centrifuge.CentrifugeError) as error:
        reason = events.refused.result() if events.refused.done() else str(error)
        raise InputError(f"no subscription to {channel}: {reason}{_hint(reason)}") from error


def _hint(reason: str) -> str:
    if reason.startswith("102"):
        return " (its namespace, the part before the colon, is not in spec.namespaces)"
    return " (private channels need a token that names them)" if reason.startswith("103") else ""


def why_not_connect(cluster: RealtimeCluster) -> str | None:
    """Return why commands cannot connect as clients, None when they can: they speak Centrifugo's protocol."""
    if cluster.spec.protocols.centrifuge.mode == "Enabled":
        return None
    return f"{cluster.metadata.name}: spec.protocols.centrifuge is Disabled, and this connects by that protocol"


def make_token(secret: str, user: str, *, seconds: float | None, cluster: RealtimeCluster, **claims: JsonValue) -> str:
    """Return a connection token (JWT) that the cluster accepts, valid for `seconds`; None: without expiry."""
    now = int(time.time())
    payload: dict[str, JsonValue] = {"sub": user, "iat": now, **claims}
    if seconds is not None:
        payload["exp"] = now + int(seconds)
    auth = cluster.spec.auth
    if auth.issuer is not None:
        payload["iss"] = auth.issuer
    if auth.audiences:
        payload["aud"] = auth.audiences[0]
    algorithm = signing_token(cluster).algorithm if auth.tokens else "HS256"
    return jwt.encode(payload, secret, algorithm=algorithm)


async def own_token(target: Target, cluster: RealtimeCluster, user: str = "realtime-cli", *channels: str) -> str:
    """Return a token for a command's own connection, valid for an hour.

    Raises InputError where a command cannot connect, see `why_not_connect`.
    """
    reason = why_not_connect(cluster)
    if reason is not None:
        raise InputError(reason)
    secret = await credential(target, cluster, naming.KEY_TOKEN_SECRET)
    private = [channel for channel in channels if channel.startswith("$")]
    claims: dict[str, JsonValue] = {"channels": [*private]} if private else {}
    return make_token(secret, user, seconds=TOKEN_SECONDS, cluster=cluster, **claims)
