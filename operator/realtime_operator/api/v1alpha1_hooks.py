"""Models of the part of the spec about the user's backend: requests and events of the servers."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

from realtime_operator.api import duration
from realtime_operator.api.base import Model, rule
from realtime_operator.api.fields import Duration, NamespaceName, Text, cel_is_duration
from realtime_operator.api.lists import SET
from realtime_operator.api.v1alpha1_server import URL, SecretValue

HEADER = "^[a-z0-9-]+$"
RESERVED_HEADERS = (
    "accept-encoding", "connection", "content-encoding", "content-length", "content-range", "content-type", "expect",
    "host", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection", "te", "trailer",
    "transfer-encoding", "upgrade", "x-realtime-signature",
)  # fmt: skip
"""Headers that belong to a single request or are the servers' own: servers refuse to forward them."""
MOST_SECONDS = 60


class HookEndpoint(Model):
    """Endpoint of the backend."""

    url: Annotated[str, Field(max_length=2048)]
    """Address that requests are posted to: http:// or https://."""
    timeout: Duration = "1s"
    """Time within which the backend must answer. At most 1m."""
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 100
    """Upper bound of the requests that one worker makes at the same time; ten times as many may wait."""

    @rule(
        f"self.url.matches('{URL}')",
        "must be an address like http://backend.default.svc/realtime, without a login",
        field="url",
    )
    def _url_is_one(self) -> bool:
        return re.fullmatch(URL, self.url) is not None

    @rule(
        f"!{cel_is_duration('self.timeout')} || duration(self.timeout) <= duration('{MOST_SECONDS}s')",
        "timeout must be at most 1m: clients wait for the answer",
        field="timeout",
    )
    def _timeout_is_short(self) -> bool:
        return self.timeout_seconds <= MOST_SECONDS

    @property
    def timeout_seconds(self) -> int:
        """`timeout` in seconds."""
        return duration.seconds(self.timeout)


class Hook(HookEndpoint):
    """Question to the backend about a connection."""

    when_down: Literal["Deny", "Allow"] = "Deny"
    """Policy while the backend does not answer. `Deny` refuses; `Allow` goes on as if there were no hook."""


class ChannelHook(Hook):
    """Question to the backend about a channel."""

    namespaces: Annotated[tuple[NamespaceName, ...], Field(max_length=64), SET] = ()
    """Channel namespaces that the backend is asked about. All when empty."""


EventType = Literal["Disconnects", "Channels"]


class EventHook(HookEndpoint):
    """Endpoint that events are sent to, each at least once."""

    timeout: Duration = "5s"
    """Time within which the backend must answer. At most 1m."""
    types: Annotated[tuple[EventType, ...], Field(min_length=1, max_length=2), SET] = ("Disconnects",)
    """Types of events that are sent. `Disconnects`: a client has gone. `Channels`: a channel has got its first
    subscriber in the whole cluster, or lost its last one."""
    queue_size: Annotated[int, Field(ge=100, le=10_000_000)] = 100_000
    """Upper bound of the events that wait in Redis. Above it, the oldest are dropped."""


class Hooks(Model):
    """Requests of the servers to the user's backend."""

    connect: Hook | None = None
    """Question whether a client without a token may connect, and who it is."""
    refresh: Hook | None = None
    """Question whether a connection that the connect hook allowed for a limited time may go on."""
    subscribe: ChannelHook | None = None
    """Question whether a client may subscribe to a channel."""
    sub_refresh: ChannelHook | None = None
    """Question whether a subscription that the subscribe hook allowed for a limited time may go on."""
    publish: ChannelHook | None = None
    """Question whether a client may publish to a channel, and which data."""
    rpc: HookEndpoint | None = None
    """Endpoint that answers remote procedure calls of clients."""
    events: EventHook | None = None
    """Endpoint that is told of disconnects and of occupied and vacated channels."""
    forward_headers: Annotated[tuple[Text, ...], Field(max_length=32), SET] = ()
    """Names, in lower case, of headers of clients that are passed on to the backend: of the HTTP request or the connect
    command."""
    ca: SecretValue | None = None
    """Certificates in PEM of a private authority that https:// is verified against. Defaults to those of the image."""
    signing_key: SecretValue | None = None
    """Key that signs requests to the backend. Without it they are not signed."""

    @rule(
        f"!has(self.forwardHeaders) || self.forwardHeaders.all(name, name.matches('{HEADER}'))",
        "forwardHeaders must be names of HTTP headers in lower case, like cookie",
        field="forwardHeaders",
    )
    def _headers_are_headers(self) -> bool:
        return all(re.fullmatch(HEADER, name) for name in self.forward_headers)

    @rule(
        f"!has(self.forwardHeaders) || !self.forwardHeaders.exists(name, name in {list(RESERVED_HEADERS)})",
        f"forwardHeaders must not contain headers that servers set themselves or that apply to a single request: "
        f"{', '.join(RESERVED_HEADERS)}",
        field="forwardHeaders",
    )
    def _headers_may_be_passed_on(self) -> bool:
        return not any(name in RESERVED_HEADERS for name in self.forward_headers)
