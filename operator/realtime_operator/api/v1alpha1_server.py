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
from realtime_operator.api.v1alpha1_certificate import ServerTls

URL = "^https?://[^/?#@ ]+([/?#][^ ]*)?$"
"""Addresses without a login, which would be in the spec and in a ConfigMap for all to read."""
ORIGIN = "^[a-z][a-z0-9+.-]*://[^/?#*]+$"


class SecretKeySelector(Model):
    """Reference to a key of a Secret in the cluster's namespace."""

    name: ObjectName
    """Name of the Secret."""
    key: SecretKey
    """Key in the data of the Secret."""


class SecretValue(Model):
    """Value that is read from a Secret."""

    secret_key_ref: SecretKeySelector
    """Reference to the key of the Secret that has the value."""


class Heartbeat(Model):
    """Pings by which dead connections are found."""

    interval: Duration = "25s"
    """Time between two pings on a connection. Must be shorter than the idle timeout of every proxy between client and
    server."""
    timeout: Duration = "8s"
    """Time within which a client must answer a ping; after it the connection is closed."""

    @rule(
        f"!{cel_is_duration('self.timeout')} || !{cel_is_duration('self.interval')}"
        " || duration(self.timeout) < duration(self.interval)",
        "timeout must be shorter than interval: a ping must be answered before the next one is sent",
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
    """Compression of WebSocket messages (permessage-deflate, RFC 7692) and of Socket.IO's polls (gzip)."""

    algorithm: Literal["None", "Deflate"] = "None"
    """Algorithm of the compression. `None`: messages are not compressed. `Deflate`: permessage-deflate, once for all
    subscribers of a publication; it saves bytes and costs CPU time of servers and clients."""
    threshold: Size = "1Ki"
    """Smallest size of messages that are compressed, in bytes as a quantity. Ignored without an algorithm."""

    @property
    def threshold_bytes(self) -> int:
        """`threshold` as a number."""
        return quantity.whole(self.threshold)


class Limits(Model):
    """Limits of one server and of one connection."""

    connections: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Upper bound of the connections of one server, divided over its workers. Above it, handshakes are refused with
    HTTP 503."""
    handshakes: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Upper bound of the sockets of one server that are no connection yet: in the handshake or in an HTTP request."""
    connects_per_second: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Upper bound of the clients that one server lets in per second; those that resume a session come first. Others get
    error 111, and SDKs try again. 0 means no limit."""
    connections_per_user: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Upper bound of the connections of one user to one worker. Above it, a connection is closed with code 3504. 0
    means no limit."""
    channels_per_connection: Annotated[int, Field(ge=1, le=32_768)] = 128
    """Upper bound of the channels that one connection is subscribed to. Each adds 2 KiB to the largest frame."""
    message_bytes: Size = "64Ki"
    """Most data that one command of a client may bring, in bytes as a quantity. Above it, the command fails with error
    106."""
    messages_per_second: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Messages per second that one connection may send, ten seconds' worth of them at once. Above it, the connection is
    read more slowly."""
    outbox_bytes: Size = "1Mi"
    """Most data that may wait to be sent to one connection, in bytes as a quantity. Above it, the namespace's policy
    for slow clients applies."""

    @rule(
        f"!{cel_is_quantity('self.messageBytes')} || !{cel_is_quantity('self.outboxBytes')}"
        " || quantity(string(self.messageBytes)).add(quantity(string(self.messageBytes)))"
        ".compareTo(quantity(string(self.outboxBytes))) <= 0",
        "outboxBytes must be at least twice messageBytes: one publication may fill at most half of an outbox",
        field="outboxBytes",
    )
    def _a_message_fits(self) -> bool:
        return 2 * self.message_bytes_number <= self.outbox_bytes_number

    @property
    def message_bytes_number(self) -> int:
        """`message_bytes` as a number."""
        return quantity.whole(self.message_bytes)

    @property
    def outbox_bytes_number(self) -> int:
        """`outbox_bytes` as a number."""
        return quantity.whole(self.outbox_bytes)


class Logging(Model):
    """Log of the servers, on the standard error of their container."""

    level: Literal["Debug", "Info", "Warning", "Error"] = "Info"
    """Least severe events that are written."""
    format: Literal["Json", "Text"] = "Json"
    """Format of an event: `Json` for machines, `Text` for people. With `realtime up` it is always `Text`."""


class Server(Model):
    """Settings of every server."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    """Number of processes in one server; about one for each CPU core that a pod may use."""
    heartbeat: Heartbeat = Heartbeat()
    """Pings by which dead connections are found."""
    compression: Compression = Compression()
    """Compression of WebSocket messages."""
    limits: Limits = Limits()
    """Limits of a server and of a connection."""
    origins: Annotated[tuple[Text, ...], Field(max_length=64), SET] = ()
    """Origins that browsers may connect from, like `https://app.example.com`, compared exactly. All when empty."""
    logging: Logging = Logging()
    """Log of the servers."""

    @rule(
        f"!has(self.origins) || self.origins.all(origin, origin.matches('{ORIGIN}'))",
        "origins are compared exactly: write scheme and host like https://app.example.com, without a path or *",
        field="origins",
    )
    def _origins_are_origins(self) -> bool:
        return all(re.fullmatch(ORIGIN, origin) for origin in self.origins)


class Token(Model):
    """Key that verifies tokens."""

    algorithm: Literal[
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"
    ] = "HS256"  # fmt: skip
    """Signature algorithm of the key (RFC 7518, RFC 8037)."""
    secret_key_ref: SecretKeySelector
    """Reference to the key: the shared secret for HS256, HS384 and HS512, else the public key in PEM."""


class JsonWebKeys(Model):
    """Keys that an identity provider publishes as a JWK Set (RFC 7517)."""

    url: Annotated[str, Field(max_length=2048)]
    """Address of the JWK Set: http:// or https://."""
    refresh: Duration = "5m"
    """Time between two reads of the JWK Set, from 5s to 24h. A token with an unknown key has it read at once."""
    timeout: Duration = "5s"
    """Time within which the provider must answer. At most 8s: a client waits for it."""
    max_age: Duration = "24h"
    """Time for which keys are used while the JWK Set cannot be read. After it, its tokens cannot be verified, and their
    clients try again."""
    ca: SecretValue | None = None
    """Certificates in PEM of a private authority that https:// is verified against. Defaults to those of the image."""

    @rule(
        f"self.url.matches('{URL}')",
        "must be the address of a JWK Set, like https://id.example.com/.well-known/jwks.json, without a login",
        field="url",
    )
    def _url_is_one(self) -> bool:
        return re.fullmatch(URL, self.url) is not None

    @rule(
        f"!{cel_is_duration('self.refresh')}"
        " || (duration(self.refresh) >= duration('5s') && duration(self.refresh) <= duration('24h'))",
        "refresh must be from 5s to 24h: short enough to follow a key rotation, long enough to spare the provider",
        field="refresh",
    )
    def _refresh_is_sensible(self) -> bool:
        return 5 <= self.refresh_seconds <= 86_400

    @rule(
        f"!{cel_is_duration('self.refresh')} || !{cel_is_duration('self.maxAge')}"
        " || duration(self.maxAge) >= duration(self.refresh)",
        "maxAge must not be shorter than refresh: otherwise keys expire before they are read again",
        field="maxAge",
    )
    def _keys_last_until_read_again(self) -> bool:
        return self.max_age_seconds >= self.refresh_seconds

    @rule(
        f"!{cel_is_duration('self.timeout')} || duration(self.timeout) <= duration('8s')",
        "timeout must be at most 8s: a client that connects waits for the keys",
        field="timeout",
    )
    def _answers_come_in_time(self) -> bool:
        return self.timeout_seconds <= 8

    @property
    def timeout_seconds(self) -> int:
        """`timeout` in seconds."""
        return duration.seconds(self.timeout)

    @property
    def refresh_seconds(self) -> int:
        """`refresh` in seconds."""
        return duration.seconds(self.refresh)

    @property
    def max_age_seconds(self) -> int:
        """`max_age` in seconds."""
        return duration.seconds(self.max_age)


class Authentication(Model):
    """Authentication of clients."""

    anonymous: Literal["Deny", "Allow"] = "Deny"
    """Policy for clients without a token. `Allow` lets them connect as anonymous users."""
    tokens: Annotated[tuple[Token, ...], Field(max_length=8), ATOMIC] = ()
    """Keys that verify connection tokens. All are tried, so that one can be rotated. When empty, an HS256 secret is
    generated (Secret CLUSTER-credentials, key `token-secret`)."""
    subscription_tokens: Annotated[tuple[Token, ...], Field(max_length=8), ATOMIC] = ()
    """Keys that verify subscription tokens, for private channels (`$...`). Defaults to those of connection tokens."""
    jwks: JsonWebKeys | None = None
    """Keys of an identity provider, in addition to `tokens`."""
    leeway: Duration = "5s"
    """Tolerated difference between the clocks of servers and of those who issue tokens, and delay of a renewal. At most
    5m."""
    issuer: Text | None = None
    """Value that the claim `iss` of tokens must have. Not checked when absent."""
    audiences: Annotated[tuple[Text, ...], Field(max_length=16), SET] = ()
    """Values of which the claim `aud` of tokens must contain one. Not checked when empty."""
    revocation_retention: Duration = "720h"
    """Time for which a revocation is kept if the call does not say when the tokens expire. At least 1m."""

    @rule(
        f"!{cel_is_duration('self.revocationRetention')} || duration(self.revocationRetention) >= duration('1m')",
        "revocationRetention must be at least 1m",
        field="revocationRetention",
    )
    def _revocations_are_kept_for_some_time(self) -> bool:
        return self.revocation_seconds >= 60

    @property
    def revocation_seconds(self) -> int:
        """`revocation_retention` in seconds."""
        return duration.seconds(self.revocation_retention)

    @rule(
        f"!{cel_is_duration('self.leeway')} || duration(self.leeway) <= duration('5m')",
        "leeway must be at most 5m: expired tokens are accepted for that long",
        field="leeway",
    )
    def _leeway_is_short(self) -> bool:
        return self.leeway_seconds <= 300

    @property
    def leeway_seconds(self) -> int:
        """`leeway` in seconds."""
        return duration.seconds(self.leeway)


ApiMethod = Literal[
    "Publish", "Broadcast", "Subscribe", "Unsubscribe", "Disconnect", "Send", "Refresh", "Revoke", "Presence",
    "PresenceStats", "History", "HistoryRemove", "Channels", "Info", "Emit", "Join", "Leave", "Sockets",
]  # fmt: skip


class ApiKey(Model):
    """Key of the HTTP API that is limited to some methods and channels."""

    name: NamespaceName
    """Name of the key in answers and logs."""
    secret_key_ref: SecretKeySelector
    """Reference to the key."""
    methods: Annotated[tuple[ApiMethod, ...], Field(max_length=32), SET] = ()
    """Methods that the key may call, also in a batch. All when empty."""
    channels: Annotated[tuple[Text, ...], Field(max_length=64), SET] = ()
    """Patterns with `*` and `?`; every channel of a call must match one of them. All channels when empty."""
    calls_per_second: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Upper bound of calls per second to one server; a batch counts as its commands. 0 means no limit."""


class ClientCertificates(Model):
    """Certificates that backends must present (mutual TLS)."""

    ca: SecretValue
    """Certificates in PEM of the authorities that have signed them. A changed Secret is read again."""


class ApiTls(ServerTls):
    """Certificate of the servers on the port of the API. A changed Secret is read again, and connections stay."""

    client_certificates: ClientCertificates | None = None
    """Certificates that backends must present. None are asked for when absent."""


class ServerApi(Model):
    """HTTP API for backends."""

    tls: ApiTls | None = None
    """TLS of the API's own port. None when absent."""
    key: SecretValue | None = None
    """API key. When absent, one is generated (Secret CLUSTER-credentials, key `api-key`)."""
    keys: Annotated[tuple[ApiKey, ...], Field(max_length=16), MAP_BY_NAME] = ()
    """Further keys, each limited to some methods and channels."""
    on_client_port: bool = False
    """Serve the API on the client port too, with the same keys. Who reaches it reaches the API. Default false."""

    @rule(
        "!has(self.tls) || !has(self.tls.clientCertificates) || !has(self.onClientPort) || !self.onClientPort",
        "onClientPort must be false with tls.clientCertificates: the client port asks nobody for a certificate",
        field="onClientPort",
    )
    def _certificates_are_not_bypassed(self) -> bool:
        return not self.on_client_port or self.tls is None or self.tls.client_certificates is None
