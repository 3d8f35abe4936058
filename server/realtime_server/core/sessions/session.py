"""Session of a client: its state, what is sent to it, and its end. It knows neither the node nor commands.

A client protocol is a subclass that handles the client's messages. Only a session's own methods write its attributes.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Protocol

from realtime_server import codes
from realtime_server.codes import DisconnectCode, UnsubscribeCode
from realtime_server.core.auth.claims import Claims
from realtime_server.core.channels.join import Join
from realtime_server.core.limits.limit import SUBSCRIPTION_BYTES, Limit, NodeLimits
from realtime_server.core.limits.rates import MessageRate
from realtime_server.core.metrics.counters import Counters
from realtime_server.core.model.channel_options import SlowConsumer
from realtime_server.core.model.grant import Grant
from realtime_server.core.model.publication import Content, content_in
from realtime_server.core.model.pushes import Push, UnsubscribePush
from realtime_server.core.model.subscription import Subscription
from realtime_server.core.model.values import ClientInfo
from realtime_server.core.ports.backend import Caller, TransportInfo
from realtime_server.core.ports.client import Codec, Connection, Subscriber
from realtime_server.core.sessions.attempt import Attempt
from realtime_server.core.sessions.held import Held
from realtime_server.core.sessions.liveness import AwaitedPong

MAX_TTL_SECONDS = 2**31 - 1
AT_ONCE: AbstractContextManager[object] = nullcontext()
REFILL_BYTES = 65_536
"""Size of the part of the held publications that is written at once."""


class Channels(Protocol):
    """Part of the hub that a session needs."""

    def flush(self, channel: str) -> None:
        """Send the publications that a channel's write delay holds back."""

    def end(self, subscriber: Subscriber, subscription: Subscription) -> None:
        """End a subscription that had begun."""


@dataclass(frozen=True, slots=True)
class SessionContext:
    """State shared by all sessions of a worker. `immediate`: no call ever waits, so nothing is revoked in progress.

    `clock` is monotonic seconds, `wall_clock` Unix time in seconds; `on_closed` is called once, when a session ends.
    """

    channels: Channels
    counters: Counters
    limits: NodeLimits
    rate: MessageRate
    clock: Callable[[], float]
    wall_clock: Callable[[], float]
    on_closed: Callable[[Session, DisconnectCode], None]
    immediate: bool = False


class Session(ABC):
    """Session of one client. `client` is its id, `claims` None until admission.

    `secret`: key of an emulated session, whose connection is one-way and whose commands arrive otherwise; "" for
    others. It differs from `client`, which others in a channel may see. `expiring`: a subscription has an expiry.
    `welcome`: the connect reply was sent; an SDK does not understand an earlier push. `admitted_at` is Unix time in
    seconds, 0 before that; `ping_at` is monotonic seconds.
    """

    __slots__ = (
        "__weakref__", "_attempts", "_context", "_held", "_large", "_paused", "_pong", "_revoked", "_used_until",
        "_welcomed", "admitted_at", "claims", "client", "closed", "codec", "connection", "expiring", "opened_at",
        "ping_at", "secret", "subscriptions", "transport", "welcome",
    )  # fmt: skip

    def __init__(
        self,
        context: SessionContext,
        connection: Connection,
        codec: Codec,
        client: str,
        transport: TransportInfo,
        *,
        secret: str = "",
    ) -> None:
        self._context = context
        self.connection = connection
        self.codec = codec
        self.client = client
        self.transport = transport
        self.secret = secret
        self.claims: Claims | None = None
        self.subscriptions: dict[str, Subscription] = {}
        self.opened_at = context.clock()
        self.admitted_at = 0.0
        self.ping_at = 0.0
        self.closed = False
        self.expiring = False
        self.welcome = False
        self._welcomed: asyncio.Event | None = None
        self._attempts: list[Attempt] | None = None
        self._revoked: set[str] | None = None
        self._held: Held | None = None
        self._large: dict[str, int] | None = None
        """Sizes of subscribe commands above SUBSCRIPTION_BYTES, by channel."""
        self._pong: AwaitedPong | None = None
        self._paused = False
        self._used_until = 0.0
        """See MessageRate."""

    # what the client sends

    @abstractmethod
    def on_text(self, payload: bytes, now: float) -> None:
        """Handle a text message of the client at `now`, monotonic seconds; it may be no UTF-8.

        Never raises: errors close the connection.
        """

    @abstractmethod
    def on_binary(self, payload: bytes, now: float) -> None:
        """Handle a binary message, see `on_text`; also one from a transport that does not tell them apart."""

    @abstractmethod
    def on_control(self, now: float) -> None:
        """Count a ping or pong of the transport towards the rate of messages; `now` is monotonic."""

    def on_pong(self) -> None:
        """Handle a pong of the transport. An unsolicited one has no meaning (RFC 6455, section 5.5.3)."""
        if self.codec.native_pings:
            self._pong = None

    def take_pong(self) -> bool:
        """Handle a pong of the client's protocol; return False when none is awaited."""
        if self._pong is None or self.codec.native_pings:
            return False
        self._pong = None
        return True

    def _charge(self, now: float) -> None:
        """Count one message towards the rate, which the client exceeds while `_used_until` is later than now."""
        self._used_until = self._context.rate.charge(self._used_until, now)

    def _pause(self, now: float) -> None:
        """Stop reading until `_resume`, because the client exceeds its rate or too many of its commands wait."""
        if not self._paused and not self.closed:
            self._paused = True
            if self._used_until > now:
                self._context.counters.limits[Limit.MESSAGES_PER_SECOND] += 1
            self.connection.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self.closed:
            self._paused = False
            self.connection.resume_reading()

    # who the client is

    @property
    def user(self) -> str:
        """Id of the user, empty for an anonymous one."""
        return self.claims.user if self.claims is not None else ""

    @property
    def admitted(self) -> bool:
        """True once the client is admitted."""
        return self.claims is not None

    @property
    def begun(self) -> bool:
        """True when the client is admitted or has sent its connect command."""
        return self.claims is not None

    @property
    def busy(self) -> bool:
        """True while the client connects, subscribes, waits for an answer, or reads too slowly."""
        return not self.welcome or bool(self._attempts) or bool(self._held) or self.connection.congested

    def rename(self, client: str) -> None:
        """Take the id of the session that this one continues; before any subscription."""
        self.client = client

    def has_name(self, name: str) -> bool:
        """Return True for the id of the connection, and for its secret."""
        return name in {self.client, self.secret}

    def client_info(self, channel_info: bytes | None = None) -> ClientInfo:
        """See Subscriber."""
        info = self.claims.info if self.claims is not None else None
        return ClientInfo(self.user, self.client, info, channel_info)

    def caller(self) -> Caller:
        """Return the description of this connection for the backend."""
        meta = self.claims.meta if self.claims is not None else None
        return Caller(self.client, self.user, self.transport, meta)

    def admit(self, claims: Claims, ping_at: float) -> None:
        """Admit the client; pings start at `ping_at`, monotonic seconds."""
        self.claims = claims
        self.admitted_at = self._context.wall_clock()
        self.ping_at = ping_at

    def undo_admission(self) -> None:
        """Undo `admit`, after which the client may try again."""
        self.claims = None
        self._revoked = None

    def renew(self, claims: Claims) -> None:
        """Replace the claims by those of a new token or of the backend."""
        self.claims = claims

    # what the client gets

    def mark_welcome(self) -> None:
        """Record that the connect reply was sent: pushes may follow."""
        self.welcome = True
        self._revoked = None
        if not self.closed:
            self._context.counters.count_connect(self.opened_at)
        if self._welcomed is not None:
            self._welcomed.set()

    async def welcomed(self) -> None:
        """Wait until the connect reply was sent or the session has ended."""
        if not self.welcome and not self.closed:
            self._welcomed = self._welcomed or asyncio.Event()
            await self._welcomed.wait()

    def note_unanswered(self, code: int) -> None:
        """Count a connect that ends with this code, unless the connect reply was sent."""
        if not self.welcome:
            self._context.counters.count_failed_connect(code)

    def push(self, channel: str, push: Push) -> None:
        """Send a push; `channel` is "" for one without a channel."""
        if not self.closed:
            self.connection.write(self.codec.push(channel, push))

    def encode_missed(self, join: Join, written: int = 0) -> list[bytes]:
        """Encode what a recovered subscription has missed; drop its recovery if that exceeds the size of a reply.

        `written`: bytes that belong to the same reply.
        """
        encode = self.codec.publication
        missed = [encode(join.channel, content_in(one), one.offset) for one in join.result.publications]
        if missed and written + sum(map(len, missed)) > self._context.limits.reply_bytes:
            self._context.counters.limits[Limit.REPLY_BYTES] += 1
            join.drop_recovery()
            return []
        return missed

    def ping(self, now: float, interval: float, timeout: float) -> None:
        """Ping the client at `now`, the next time after `interval`; it has `timeout` to answer. Times in seconds."""
        self.ping_at = now + interval
        self.connection.write(self.codec.ping())
        if self.codec.native_pings or not self.codec.unidirectional:
            self._pong = AwaitedPong(now, self.connection.written_bytes, timeout=timeout, patience=interval + timeout)

    @property
    def awaits_pong(self) -> bool:
        """True while a pong is awaited."""
        return self._pong is not None

    def is_alive(self, now: float) -> bool:
        """Return True when the client has answered its ping or still has time to. Queries the kernel."""
        pong = self._pong
        if pong is None:
            return True
        if self._paused:
            pong.postpone(now)
        elif not pong.delivered:
            pong.observe(now, self.connection.written_bytes - self.connection.unacknowledged())
        return not pong.is_late(now)

    def seconds_until(self, at: float) -> int:
        """Return the whole seconds until a Unix time: at least one, at most the largest ttl of all SDKs."""
        return max(1, min(MAX_TTL_SECONDS, int(at - self._context.wall_clock())))

    # subscriptions

    def has_subscription(self, channel: str) -> bool:
        """See Subscriber."""
        return channel in self.subscriptions

    def info_in(self, channel: str) -> ClientInfo | None:
        """See Receiver."""
        subscription = self.subscriptions.get(channel)
        if subscription is None or not subscription.present:
            return None
        return self.client_info(subscription.info)

    def emits_join_leave(self, channel: str) -> bool:
        """See Receiver."""
        subscription = self.subscriptions.get(channel)
        return subscription is not None and subscription.emits_join_leave

    def begin_subscription(self, subscription: Subscription) -> bool:
        """See Subscriber."""
        if self.closed:
            return False
        self.subscriptions[subscription.channel] = subscription
        self.expiring = self.expiring or subscription.expires_at is not None
        return True

    def fits(self, channel: str, size: int = SUBSCRIPTION_BYTES) -> bool:
        """Return True when a reconnecting client could ask for this channel and all its others in one frame.

        `size` is that of the command in bytes; sizes up to SUBSCRIPTION_BYTES count as that.
        """
        if size <= SUBSCRIPTION_BYTES and not self._large:
            return True  # there is room for as many as a client may have
        large = self._large or {}
        others = sum(its for name, its in large.items() if name != channel)
        small = sum(name not in large and name != channel for name in self.subscriptions)
        together = others + small * SUBSCRIPTION_BYTES + max(size, SUBSCRIPTION_BYTES)
        if together <= self._context.limits.subscriptions_bytes:
            return True
        self._context.counters.limits[Limit.SUBSCRIPTION_BYTES] += 1
        return False

    def note_size(self, channel: str, size: int) -> None:
        """Record the size of the subscribe command that the client sends again when it reconnects."""
        if size > SUBSCRIPTION_BYTES and channel in self.subscriptions:
            self._large = self._large or {}
            self._large[channel] = max(size, self._large.get(channel, 0))

    def renew_subscription_by(self, subscription: Subscription, grant: Grant) -> None:
        """Renew a subscription by a token, whatever granted it before."""
        subscription.credential, subscription.permitted = grant.credential, grant.permitted
        self.renew_subscription(subscription, grant.expires_at, grant.info, renewed_by_hook=False)

    def renew_subscription(
        self, subscription: Subscription, expires_at: float | None, info: bytes | None, *, renewed_by_hook: bool
    ) -> None:
        """Renew a subscription until a Unix time, or for ever (None)."""
        subscription.renew(expires_at=expires_at, info=info, renewed_by_hook=renewed_by_hook)
        self.expiring = self.expiring or expires_at is not None

    def end_subscription(self, channel: str, code: UnsubscribeCode) -> None:
        """Unsubscribe the client and tell it. Idempotent.

        Where the code asks a client to subscribe again that cannot, it is disconnected.
        """
        subscription = self.subscriptions.get(channel)
        if subscription is None:
            return
        if code.resubscribe and not self._resubscribes(subscription):
            expired = code.code == codes.UNSUBSCRIBED_EXPIRED.code
            self.disconnect(codes.SUBSCRIPTION_EXPIRED if expired else codes.INSUFFICIENT_STATE)
            return
        self._context.channels.flush(channel)  # what was published before belongs to it still
        self.push(channel, UnsubscribePush(code.code, code.reason))
        self.drop_subscription(channel)

    def _resubscribes(self, subscription: Subscription) -> bool:
        """Return True when the client, told that this subscription has ended, can make it again."""
        return not subscription.server_side

    def drop_subscription(self, channel: str) -> None:
        """End a subscription without telling the client. Idempotent."""
        subscription = self.subscriptions.pop(channel, None)
        if self._large is not None:
            self._large.pop(channel, None)
        if subscription is not None:
            if self._held is not None:
                self._held.forget(channel)
            self._context.channels.end(self, subscription)

    def attempt(self, channel: str) -> AbstractContextManager[object]:
        """Return the context in which to make a subscription; `revoke` cancels the work within."""
        if self._context.immediate:
            return AT_ONCE
        if self._attempts is None:
            self._attempts = []
        return Attempt(self._attempts, channel)

    def revoke(self, channel: str) -> None:
        """End the subscription to a channel, those in progress included, on behalf of the backend."""
        for attempt in self._attempts or ():
            if attempt.channel == channel:
                attempt.revoke()
        if not self.welcome:
            self._revoked = self._revoked or set()
            self._revoked.add(channel)
        self.end_subscription(channel, codes.UNSUBSCRIBED)

    def is_revoked(self, channel: str) -> bool:
        """Return True when a channel was revoked while the client was being admitted."""
        return self._revoked is not None and channel in self._revoked

    # a client that reads slowly

    def lags(self) -> bool:
        """See Receiver."""
        return self.connection.congested or bool(self._held) or self.connection.unsent() > 0

    def hold(self, channel: str, policy: SlowConsumer, content: Content, offset: int) -> None:
        """See Receiver."""
        if self._held is None:
            self._held = Held(self._context.limits.outbox_bytes)
        is_refilled = self._held.waits
        dropped = self._held.dropped
        self._held.put(channel, policy, content, offset)
        self._context.counters.publications_dropped[policy] += self._held.dropped - dropped
        if is_refilled or self.connection.congested:
            return
        if self.connection.unsent():
            asyncio.get_running_loop().call_soon(self.on_writable)  # the loop tries first, and says if it is congested
        else:
            self.on_writable()

    def on_writable(self) -> None:
        """Write held publications, a part at a time, because the client has read the data before.

        All at once might exceed the outbox, and would delay the next ping.
        """
        if self._held is None or self.closed or self.connection.congested:
            return
        for item in self._held.take(min(REFILL_BYTES, self._context.limits.outbox_bytes // 4)):
            self.connection.write(self.codec.publication(item.channel, item.with_drop_tags(), item.offset))
        if self._held.waits:
            asyncio.get_running_loop().call_soon(self.on_writable)
        elif not self._held:
            self._held = None

    # the end

    def is_closed(self) -> bool:
        """Return True when the session has ended; a method, because handling a command can end it."""
        return self.closed

    def disconnect(self, code: DisconnectCode) -> None:
        """Close the connection with a code. Idempotent."""
        if not self.closed:
            self._context.counters.disconnects[code.code] += 1
            self.connection.close(code)
            self.on_closed(code)

    def on_closed(self, code: DisconnectCode = codes.CONNECTION_CLOSED) -> None:
        """End the session, because its connection is closed. Idempotent."""
        if self.closed:
            return
        if code is not codes.STALE or self.begun:  # one that never said anything has not tried to connect
            self.note_unanswered(code.code)
        self.closed = True
        self._held = None
        if self._welcomed is not None:
            self._welcomed.set()
        self._context.on_closed(self, code)
        for subscription in self.subscriptions.values():
            self._context.channels.end(self, subscription)
        self.subscriptions.clear()
