"""The contracts between a session, the protocol that its client speaks, and its transport."""

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
    """Encodes what is pushed to clients; one object for all connections that speak the same protocol and framing.

    What it returns is ready to be written: encoded and framed, so that one publication is encoded and framed once,
    however many connections get it.
    """

    def publication(self, channel: str, content: Content, offset: int) -> bytes:
        """Encode a publication; an offset of 0 is none."""

    def delta_publication(self, channel: str, content: Content, offset: int, patch: bytes | None) -> bytes:
        """Encode a publication for those who take differences: `patch` to the data before it, None for the whole."""

    def push(self, channel: str, push: Push) -> bytes:
        """Encode everything else that is pushed; `channel` is "" for what is in none."""


class Codec(Encoder, Protocol):
    """The protocol of a client in the frames of a transport.

    `binary`: the data of publications may be any bytes, not just JSON. `native_pings`: pings are the transport's, and
    are answered by it; the client's protocol does not know of them. `unidirectional`: the client says who it is and
    then only listens; it sends no commands and answers no pings.
    """

    binary: bool
    native_pings: bool
    unidirectional: bool

    def decode(self, message: bytes) -> tuple[Command, ...] | None:
        """Return the commands of one message, None when it is malformed. Never raises."""

    def reply(self, command: int, result: Result) -> bytes:
        """Encode the answer to a command."""

    def error(self, command: int, error: ErrorCode) -> bytes:
        """Encode the answer to a command that failed."""

    def ping(self) -> bytes:
        """Encode a ping."""


class Connection(Protocol):
    """The transport's side of one connection."""

    def write(self, frames: bytes) -> None:
        """Send what a Codec made, in order, joined with other writes.

        Over the outbox's bound the connection is closed with SLOW, but never within this call, so that it may be
        called while going through sessions. After `close` a write is ignored.
        """

    def close(self, code: DisconnectCode) -> None:
        """Send what waits, then the code; idempotent."""

    @property
    def congested(self) -> bool:
        """Whether more waits to be sent than the client takes at once; `Session.on_writable` is called after it."""

    @property
    def written_bytes(self) -> int:
        """Bytes passed to `write` since the beginning."""

    def unacknowledged(self) -> int:
        """Bytes of them that the client's side has not acknowledged, wherever they wait. Asks the kernel."""

    def pause_reading(self) -> None:
        """Hand no message to the session until `resume_reading`, and read none: the client is slowed. Idempotent.

        Messages that were read already are kept. Nothing happens where messages do not come by the connection.
        """

    def resume_reading(self) -> None:
        """Undo `pause_reading`; what was kept is handed to the session within this call. Idempotent."""


class Receiver(Protocol):
    """Receives the publications of channels. Compared by identity."""

    @property
    def codec(self) -> Encoder:
        """The encoding of what it is written."""

    @property
    def connection(self) -> Connection:
        """What it is written to."""

    def end_subscription(self, channel: str, code: UnsubscribeCode) -> None:
        """End its subscription and tell it; idempotent."""

    def info_in(self, channel: str) -> ClientInfo | None:
        """Return how others in a channel see it; None when it is not subscribed any more, or not to be seen."""

    def emits_join_leave(self, channel: str) -> bool:
        """Return True when others in a channel are told that it joins and leaves."""

    def lags(self) -> bool:
        """Return True while it reads more slowly than it is written to."""

    def hold(self, channel: str, policy: SlowConsumer, content: Content, offset: int) -> None:
        """Keep a publication for one that lags, or drop some as the policy says."""


class Subscriber(Receiver, Protocol):
    """Subscribes to channels: a session, seen from the hub."""

    @property
    def client(self) -> str:
        """Its id."""

    def client_info(self, channel_info: bytes | None = None) -> ClientInfo:
        """Return how others see it; `channel_info` is what its subscription adds."""

    def has_subscription(self, channel: str) -> bool:
        """Return True when it is subscribed to a channel."""

    def begin_subscription(self, subscription: Subscription) -> bool:
        """Take a subscription that is ready; False when its connection has gone."""
