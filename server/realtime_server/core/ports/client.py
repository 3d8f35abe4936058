"""Ports between a session, its client's protocol, and its transport."""

from __future__ import annotations

from typing import Protocol

from realtime_server.codes import DisconnectCode, ErrorCode, UnsubscribeCode
from realtime_server.core.model.channel_options import SlowConsumer
from realtime_server.core.model.commands import Command, Result
from realtime_server.core.model.publication import Content
from realtime_server.core.model.pushes import Push
from realtime_server.core.model.subscription import Subscription
from realtime_server.core.model.values import ClientInfo


class Encoder(Protocol):
    """Encoder of pushes; one object for all connections with the same protocol and framing.

    Results are encoded and framed, ready to be written, so that a publication is encoded and framed once for all of
    them.
    """

    def publication(self, channel: str, content: Content, offset: int) -> bytes:
        """Encode a publication; an offset of 0 means none. In an ordered namespace, `content` is an OrderedContent."""

    def delta_publication(self, channel: str, content: Content, offset: int, patch: bytes | None) -> bytes:
        """Encode a publication for subscribers with deltas: `patch` to the previous data, None for the full data."""

    def push(self, channel: str, push: Push) -> bytes:
        """Encode any other push; `channel` is "" for one without a channel."""


class Codec(Encoder, Protocol):
    """Encoder with what else every session needs of its client's protocol in the frames of a transport.

    `binary`: the data of publications may be arbitrary bytes, not just JSON. `native_pings`: the transport pings and
    receives pongs, without the client's protocol. `unidirectional`: the client sends its connect request and then only
    receives; it sends no commands and answers no pings.
    """

    binary: bool
    native_pings: bool
    unidirectional: bool

    def ping(self) -> bytes:
        """Encode a ping."""


class CommandCodec(Codec, Protocol):
    """Codec of a protocol whose client sends commands, each of which gets one reply."""

    def decode(self, message: bytes) -> tuple[Command, ...] | None:
        """Decode the commands of one message; None when it is malformed. Never raises."""

    def reply(self, command: int, result: Result) -> bytes:
        """Encode the reply to a command."""

    def error(self, command: int, error: ErrorCode) -> bytes:
        """Encode the error reply to a command."""


class Connection(Protocol):
    """Transport of one client."""

    def write(self, frames: bytes) -> None:
        """Send encoded frames in order, joined with other writes.

        Above the outbox's bound the connection is closed with SLOW, but never within this call, so that it may be made
        while iterating over sessions. Ignored after `close`.
        """

    def close(self, code: DisconnectCode) -> None:
        """Send the waiting data, then the code. Idempotent."""

    @property
    def congested(self) -> bool:
        """True while more data waits than the client takes; `Session.on_writable` is called afterwards."""

    def unsent(self) -> int:
        """Return the number of bytes that the kernel has refused so far.

        `congested` does not show them within the same iteration of the loop.
        """

    @property
    def written_bytes(self) -> int:
        """Number of bytes passed to `write` since the beginning."""

    def unacknowledged(self) -> int:
        """Return how many of them the peer has not acknowledged, wherever they wait. Queries the kernel."""

    def pause_reading(self) -> None:
        """Stop reading, and pass no message to the session until `resume_reading`. Idempotent.

        Messages that were read already are kept. Without effect where messages do not arrive over the connection.
        """

    def resume_reading(self) -> None:
        """Undo `pause_reading`; kept messages are passed to the session within this call. Idempotent."""


class Receiver(Protocol):
    """Receiver of channels' publications. Compared by identity."""

    @property
    def codec(self) -> Encoder:
        """Encoder for what is written to it."""

    @property
    def connection(self) -> Connection:
        """Transport of the receiver."""

    def end_subscription(self, channel: str, code: UnsubscribeCode) -> None:
        """End its subscription and tell it. Idempotent."""

    def info_in(self, channel: str) -> ClientInfo | None:
        """Return its info for others in a channel; None when it is not subscribed, or not present."""

    def emits_join_leave(self, channel: str) -> bool:
        """Return True when others in a channel are told about its joining and leaving."""

    def lags(self) -> bool:
        """Return True while it reads more slowly than data is written to it."""

    def hold(self, channel: str, policy: SlowConsumer, content: Content, offset: int) -> None:
        """Hold a publication for a receiver that lags; the policy decides what is dropped."""


class Subscriber(Receiver, Protocol):
    """Subscriber of channels: a session, as the hub sees it."""

    @property
    def client(self) -> str:
        """Id of the connection."""

    def client_info(self, channel_info: bytes | None = None) -> ClientInfo:
        """Return its public view; `channel_info` is the info of a subscription."""

    def has_subscription(self, channel: str) -> bool:
        """Return True when it is subscribed to a channel."""

    def begin_subscription(self, subscription: Subscription) -> bool:
        """Begin a subscription; return False when the connection has closed."""
