"""The part of the spec that becomes the servers' configuration."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from realtime_operator.api import duration, quantity
from realtime_operator.api.base import Model, rule
from realtime_operator.api.fields import (
    Duration,
    NamespaceName,
    ObjectName,
    SecretKey,
    Size,
    Text,
    cel_is_duration,
    cel_is_quantity,
)
from realtime_operator.api.lists import ATOMIC, MAP_BY_NAME, SET

URL = "^https?://[^/?#]+[^ ]*$"
ORIGIN = "^[a-z][a-z0-9+.-]*://[^/?#*]+$"


class SecretKeySelector(Model):
    """A key of a Secret in the cluster's namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: SecretKey
    """Key in the Secret's data."""


class SecretValue(Model):
    """A value that is read from a Secret."""

    secret_key_ref: SecretKeySelector
    """Key of the Secret that has the value."""


class Heartbeat(Model):
    """How a dead connection is found."""

    interval: Duration = "25s"
    """Time between two pings on a connection. Must be shorter than the idle timeout of every proxy in between."""
    timeout: Duration = "8s"
    """How long a client may take to answer a ping before its connection is closed."""

    @rule(
        f"!{cel_is_duration('self.timeout')} || !{cel_is_duration('self.interval')}"
        " || duration(self.timeout) < duration(self.interval)",
        "timeout must be shorter than interval: a ping has to be answered before the next one is sent",
        field="timeout",
    )
    def _timeout_is_shorter(self) -> bool:
        return self.timeout_seconds < self.interval_seconds

    @property
    def interval_seconds(self) -> int:
        """`interval` in seconds."""
        return duration.seconds(self.interval)

    @property
    def timeout_seconds(self) -> int:
        """`timeout` in seconds."""
        return duration.seconds(self.timeout)


class Compression(Model):
    """Compression of WebSocket messages (permessage-deflate, RFC 7692), for clients that offer it."""

    algorithm: Literal["None", "Deflate"] = "None"
    """How messages are compressed. `Deflate` (permessage-deflate) compresses each publication once for all subscribers:
    fewer bytes, more CPU time of servers and clients."""
    threshold: Size = "1Ki"
    """Messages of at least so many bytes are compressed (a quantity), if that makes them smaller."""

    @property
    def threshold_bytes(self) -> int:
        """`threshold` as a number."""
        return quantity.whole(self.threshold)


class Limits(Model):
    """What one server accepts."""

    connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Connections of one server (pod), divided over its workers. Above, a handshake is refused with HTTP 503."""
    handshakes: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Sockets of one server that are no connection: still in the handshake, or in an HTTP request."""
    connects_per_second: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Clients that one server lets in per second, those that resume first. Above: error 111, SDKs retry. 0: all."""
    connections_per_user: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Connections that one user may have to one worker. Above, a connection is closed with 3504. 0: no limit."""
    channels_per_connection: Annotated[int, Field(ge=1, le=100_000)] = 128
    """Channels that one connection may be subscribed to."""
    message_bytes: Size = "64Ki"
    """Largest message from a client, in bytes (a quantity)."""
    messages_per_second: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Messages per second that one connection may send. Above, it is closed."""
    outbox_bytes: Size = "1Mi"
    """What may wait to be sent to one connection, in bytes (a quantity). Above, it is closed as too slow."""

    @rule(
        f"!{cel_is_quantity('self.messageBytes')} || !{cel_is_quantity('self.outboxBytes')}"
        " || quantity(string(self.messageBytes)).compareTo(quantity(string(self.outboxBytes))) <= 0",
        "outboxBytes must be at least messageBytes: else a single message is too much for every connection",
        field="outboxBytes",
    )
    def _a_message_fits(self) -> bool:
        return self.message_bytes_number <= self.outbox_bytes_number

    @property
    def message_bytes_number(self) -> int:
        """`message_bytes` as a number."""
        return quantity.whole(self.message_bytes)

    @property
    def outbox_bytes_number(self) -> int:
        """`outbox_bytes` as a number."""
        return quantity.whole(self.outbox_bytes)


class Server(Model):
    """What every server of the cluster does."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Processes in one server; about one for each CPU core that a pod may use."""
    heartbeat: Heartbeat = Heartbeat()
    """Pings to clients."""
    compression: Compression = Compression()
    """Compression of WebSocket messages."""
    limits: Limits = Limits()
    """Limits of a server and of a connection."""
    origins: Annotated[tuple[Text, ...], Field(max_length=64), SET] = ()
    """Origins (`https://app.example.com`) that browsers may connect from, compared exactly. Empty: all."""

    @rule(
        f"!has(self.origins) || self.origins.all(origin, origin.matches('{ORIGIN}'))",
        "origins are compared exactly: write scheme and host like https://app.example.com, without a path or *",
        field="origins",
    )
    def _origins_are_origins(self) -> bool:
        return all(re.fullmatch(ORIGIN, origin) for origin in self.origins)


class Token(Model):
    """A key that connection tokens may be signed with."""

    algorithm: Literal[
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"
    ] = "HS256"  # fmt: skip
    """The one algorithm that the key is for (RFC 7518, RFC 8037)."""
    secret_key_ref: SecretKeySelector
    """Where the key is: the secret itself for HS256, HS384 and HS512, else the public key in PEM."""


class JsonWebKeys(Model):
    """Public keys that an identity provider publishes (JWK Set, RFC 7517)."""

    url: Annotated[str, Field(max_length=2048)]
    """Where the document is: http:// or https://."""
    refresh: Duration = "5m"
    """How often it is read, apart from when a token names an unknown key. From 5s to 24h."""
    max_age: Duration = "24h"
    """How long its keys are used while it cannot be read; after that, clients with its tokens have to wait."""
    ca: SecretValue | None = None
    """Certificates in PEM that are trusted for https://, for a private authority. Absent: the usual ones."""

    @rule(
        f"self.url.matches('{URL}')",
        "must be the address of a JWK Set, like https://id.example.com/.well-known/jwks.json",
        field="url",
    )
    def _url_is_one(self) -> bool:
        return re.fullmatch(URL, self.url) is not None

    @rule(
        f"!{cel_is_duration('self.refresh')}"
        " || (duration(self.refresh) >= duration('5s') && duration(self.refresh) <= duration('24h'))",
        "refresh must be from 5s to 24h: often enough to follow a rotation, seldom enough for the provider",
        field="refresh",
    )
    def _refresh_is_sensible(self) -> bool:
        return 5 <= self.refresh_seconds <= 86_400

    @rule(
        f"!{cel_is_duration('self.refresh')} || !{cel_is_duration('self.maxAge')}"
        " || duration(self.maxAge) >= duration(self.refresh)",
        "maxAge must not be below refresh: else keys end before they are read again",
        field="maxAge",
    )
    def _keys_last_until_read_again(self) -> bool:
        return self.max_age_seconds >= self.refresh_seconds

    @property
    def refresh_seconds(self) -> int:
        """`refresh` in seconds."""
        return duration.seconds(self.refresh)

    @property
    def max_age_seconds(self) -> int:
        """`max_age` in seconds."""
        return duration.seconds(self.max_age)


class Authentication(Model):
    """Who may connect."""

    anonymous: Literal["Deny", "Allow"] = "Deny"
    """Policy for clients that connect without a token."""
    tokens: Annotated[tuple[Token, ...], Field(max_length=8), ATOMIC] = ()
    """Keys of connection tokens; all are tried, so one can be rotated. Empty: one is generated (`token-secret`)."""
    subscription_tokens: Annotated[tuple[Token, ...], Field(max_length=8), ATOMIC] = ()
    """Keys of subscription tokens, for private channels (`$...`). Empty: those of connection tokens."""
    jwks: JsonWebKeys | None = None
    """Keys of an identity provider, besides `tokens`."""
    leeway: Duration = "5s"
    """How much clocks of servers and of makers of tokens may differ, how late a token may be renewed. At most 5m."""
    issuer: Text | None = None
    """What the claim `iss` of tokens must say. Absent: anything."""
    audiences: Annotated[tuple[Text, ...], Field(max_length=16), SET] = ()
    """The claim `aud` of tokens must contain one of these. Empty: anything."""

    @rule(
        f"!{cel_is_duration('self.leeway')} || duration(self.leeway) <= duration('5m')",
        "leeway must be at most 5m: for so long tokens are accepted that have expired",
        field="leeway",
    )
    def _leeway_is_short(self) -> bool:
        return self.leeway_seconds <= 300

    @property
    def leeway_seconds(self) -> int:
        """`leeway` in seconds."""
        return duration.seconds(self.leeway)


ApiMethod = Literal[
    "Publish", "Broadcast", "Subscribe", "Unsubscribe", "Disconnect", "Refresh", "Presence", "PresenceStats",
    "History", "HistoryRemove", "Channels", "Info",
]  # fmt: skip


class ApiKey(Model):
    """A key of the HTTP API for some methods and channels."""

    name: NamespaceName
    """What answers and logs call it."""
    secret_key_ref: SecretKeySelector
    """Where the key is."""
    methods: Annotated[tuple[ApiMethod, ...], Field(max_length=16), SET] = ()
    """What it may call, also in a batch. Empty: all."""
    channels: Annotated[tuple[Text, ...], Field(max_length=64), SET] = ()
    """Patterns (`*`, `?`), one of which every channel of a call has to match. Empty: all channels."""
    calls_per_second: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """How often it may call one server; a batch counts as its commands. 0: no limit."""


class ServerApi(Model):
    """The HTTP API for backends."""

    key: SecretValue | None = None
    """Where the API key is. Absent: one is generated (Secret CLUSTER-credentials, key api-key)."""
    keys: Annotated[tuple[ApiKey, ...], Field(max_length=16), MAP_BY_NAME] = ()
    """Further keys, for backends that are not to do everything."""
