"""A worker's node: its sessions, its periodic work, and what it hears from other servers."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
import uuid
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass

import structlog

from realtime_server import codes
from realtime_server.core.auth.claims import Claims
from realtime_server.core.auth.verifier import TokenRefusedError, TokenVerifier
from realtime_server.core.auth.web_token import MAX_TOKEN_CHARACTERS
from realtime_server.core.channels.channel_watch import ChannelWatch
from realtime_server.core.channels.hub import PRESENCE_RENEW_SECONDS, Hub
from realtime_server.core.channels.subscription import Subscription
from realtime_server.core.commands import connect, subscribe
from realtime_server.core.control import messages as control
from realtime_server.core.control.handler import ControlHandler
from realtime_server.core.limits.limit import Limit
from realtime_server.core.limits.rates import Admission, resumes
from realtime_server.core.metrics.counters import Counters
from realtime_server.core.model.commands import Command, token_of
from realtime_server.core.model.errors import BackplaneError
from realtime_server.core.model.grant import Grant
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.core.model.values import Publication
from realtime_server.core.ports.api import NodeInfo
from realtime_server.core.ports.backend import Backend, Hook, NoBackend, TransportInfo
from realtime_server.core.ports.backplane import Broker, ChannelOccupancy, PresenceStore
from realtime_server.core.ports.client import Codec, Connection
from realtime_server.core.sessions.session import Session
from realtime_server.core.tasks import TaskGroup

logger = structlog.get_logger()

ANNOUNCE_SECONDS = 3.0
"""How often a worker tells the others of itself, for the API method `info`."""
FORGET_AFTER = 3.5
"""A worker that was silent for this many announcements is gone."""
WATCH_SECONDS = 3.0
"""How often channels are looked for that were left without a word."""
RETRY_SECONDS = 0.5
WEBSOCKET = TransportInfo()


class UnknownNodeError(Exception):
    """No worker of this uid is known to live."""


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """What one connection may do, and how many there may be; 0 connections per user or connects per second: no limit.

    `outbox_bytes`: what may wait for one connection, and as much of its commands may wait for the backplane.
    """

    channels_per_connection: int
    messages_per_second: int
    outbox_bytes: int = 1_048_576
    connections_per_user: int = 0
    connects_per_second: float = 0.0

    @property
    def reply_bytes(self) -> int:
        """How large the answer to one command may be: it has to fit into the outbox beside others."""
        return self.outbox_bytes // 2


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """What a node is told. Times in seconds."""

    name: str
    version: str
    namespaces: Namespaces
    limits: NodeLimits
    heartbeat_interval: float
    heartbeat_timeout: float
    anonymous: bool
    connect_seconds: float = 10.0
    """How long a client may take to be let in by its connect command."""
    expiry_leeway: float = 0.0
    """So long after its time a connection or a subscription ends that its client has not renewed."""

    @property
    def patience(self) -> float:
        """How long a client may be silent that is pinged."""
        return self.heartbeat_interval + self.heartbeat_timeout


class Node:
    """Implements BrokerEvents; `clock` is monotonic seconds, `wall_clock` Unix time in seconds."""

    def __init__(
        self,
        settings: NodeSettings,
        broker: Broker,
        presence: PresenceStore,
        verifier: TokenVerifier,
        backend: Backend | None = None,
        occupancy: ChannelOccupancy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.limits = settings.limits
        self.version = settings.version
        self.heartbeat_interval = settings.heartbeat_interval
        self.uid = str(uuid.uuid4())
        self.counters = Counters(clock)
        self.sessions: dict[Session, None] = {}
        self.clock = clock
        self.wall_clock = wall_clock
        self.started_at = clock()
        self.last_accept: float | None = None
        self.broker = broker
        self.backend = backend or NoBackend()
        self.has_backend = backend is not None
        self.immediate = backend is None and broker.immediate
        """Whether commands are done at once: neither the backplane nor the backend lets them wait."""
        self._verifier = verifier
        self._renewing: set[Session | Subscription] = set()
        self._emulated: dict[str, Session] = {}
        self._by_user: dict[str, dict[Session, None]] = {}
        self._peers: dict[str, tuple[float, NodeInfo]] = {}
        rate = settings.limits.connects_per_second
        self._admission = Admission(rate, clock()) if rate else None
        self.broken = asyncio.Event()
        """Set when periodic work has failed in a way that nobody foresaw: this worker must be replaced."""
        self._tasks = TaskGroup(self.broken.set)
        watched = occupancy is not None and self.backend.watches_channels
        self._watch = ChannelWatch(occupancy, self.backend) if watched and occupancy is not None else None
        self.hub = Hub(settings.namespaces, broker, presence, self.counters, self._tasks, clock, self._watch)
        self.control = ControlHandler(self)
        self._random = random.Random()  # noqa: S311 - spreads pings, nothing depends on it

    # life

    async def start(self) -> None:
        """Connect to the backplane (again and again until it is there) and begin the periodic work."""
        while True:
            try:
                await self.broker.start(self, self.uid)
                break
            except BackplaneError as error:
                logger.warning("backplane is away", error=str(error))
                await asyncio.sleep(RETRY_SECONDS * (1 + self._random.random()))
        for seconds, work, name in (
            (1.0, self._beat, "heartbeat"),
            (ANNOUNCE_SECONDS, self._announce, "announce"),
            (PRESENCE_RENEW_SECONDS, self.hub.renew_presence, "presence"),
        ):
            self._tasks.spawn(self._every(seconds, work), name)
        if self._watch is not None:
            self._tasks.spawn(self._every(WATCH_SECONDS, self._watch.catch_up), "channel-watch")

    async def stop(self) -> None:
        """End the periodic work and the links to the backplane."""
        await self._tasks.cancel()
        await self.broker.stop()

    async def _every(self, seconds: float, work: Callable[[], Coroutine[None, None, None]]) -> None:
        while True:
            with contextlib.suppress(BackplaneError):
                await work()
            await asyncio.sleep(seconds)

    # sessions

    def accept(
        self, connection: Connection, codec: Codec, transport: TransportInfo = WEBSOCKET, *, emulated: bool = False
    ) -> Session:
        """A new connection, not yet authenticated; the commands of an `emulated` one come by `emulate`."""
        now = self.clock()
        secret = secrets.token_hex(16) if emulated else ""
        session = Session(self, connection, codec, secrets.token_hex(16), now, transport, secret=secret)
        self.sessions[session] = None
        if emulated:
            self._emulated[secret] = session
        self.counters.accepted += 1
        self.last_accept = now
        return session

    async def emulate(self, node: str, session: str, data: bytes) -> None:
        """Hand commands to an emulated connection of any worker of the cluster; in no order with other calls.

        Nothing happens when the worker has no such session any more: its client sees its stream end. Raises
        UnknownNodeError for a worker that does not live, and BackplaneError.
        """
        request = control.Emulate(session, data)
        if node == self.uid:
            self.take_emulated(request)
        elif self._may_live(node):
            await self.broker.publish_control(control.encode(request), node)
        else:
            raise UnknownNodeError(node)

    def take_emulated(self, request: control.Emulate) -> None:
        """Take commands of a client whose connection carries only what it receives; unknown sessions are ignored."""
        session = self._emulated.get(request.session)
        if session is not None:
            self.counters.messages_received += 1
            session.on_message(request.data, self.clock())

    def _may_live(self, node: str) -> bool:
        """Whether a worker was heard of in the last seconds, or this one has not listened for so long yet."""
        since = self.clock() - ANNOUNCE_SECONDS * FORGET_AFTER
        peer = self._peers.get(node)
        return self.started_at > since if peer is None else peer[0] >= since

    def admits(self, commands: Sequence[Command]) -> bool:
        """Whether a client that begins with these commands may come in now."""
        if self._admission is None or self._admission.admit(self.clock(), resumes=resumes(commands)):
            return True
        self.counters.limits[Limit.CONNECTS_PER_SECOND] += 1
        return False

    def authenticate(self, token: str) -> Claims:
        """Who the client is; raises TokenRefusedError."""
        if token:
            self._note_length(token)
            return self._verifier.verify(token)
        if self.settings.anonymous:
            return Claims(user="")
        raise TokenRefusedError(codes.UNAUTHORIZED)

    def lacks_key(self, command: Command) -> bool:
        """Whether a command waits for keys to be read: its token names one that is not known yet."""
        return self._verifier.has_remote_keys and self._verifier.lacks_key(token_of(command))

    async def fetch_key(self, command: Command) -> None:
        """Read the keys that a command waits for. Never raises."""
        await self._verifier.fetch_key(token_of(command))

    def verify_subscription(self, token: str, *, channel: str, user: str) -> Grant:
        """What a subscription token lets in; raises CommandError."""
        self._note_length(token)
        return self._verifier.verify_subscription(token, channel=channel, user=user)

    def _note_length(self, token: str) -> None:
        if len(token) > MAX_TOKEN_CHARACTERS:
            self.counters.limits[Limit.TOKEN_BYTES] += 1

    def open(self, session: Session, claims: Claims) -> bool:
        """The client has said who it is: it is pinged from now on and can be found by its user.

        False when the user has too many connections already: it was disconnected.
        """
        session.claims = claims
        same_user = self._by_user.setdefault(claims.user, {})
        same_user[session] = None
        limit = self.limits.connections_per_user
        if limit and claims.user and len(same_user) > limit:
            session.disconnect(codes.CONNECTION_LIMIT)
            return False
        spread = 0.5 + self._random.random() / 2
        session.ping_at = self.clock() + self.heartbeat_interval * spread
        return True

    def turn_away(self, session: Session) -> None:
        """The client was not let in after all; it may try again with another connect command."""
        self._forget_user(session)
        session.claims = None

    def _forget_user(self, session: Session) -> None:
        if session.claims is not None:
            same_user = self._by_user.get(session.user, {})
            same_user.pop(session, None)
            if not same_user:
                self._by_user.pop(session.user, None)

    def forget(self, session: Session) -> None:
        """A connection is gone."""
        self.sessions.pop(session, None)
        self._emulated.pop(session.secret, None)
        self._forget_user(session)
        for subscription in session.subscriptions.values():
            self.hub.end(session, subscription)
        session.subscriptions.clear()

    async def _beat(self) -> None:
        self.hub.check_quiet_channels()
        now, wall = self.clock(), self.wall_clock()
        for session in list(self.sessions):
            claims = session.claims
            if claims is None:
                if now - session.opened_at > self.settings.connect_seconds:
                    session.disconnect(codes.STALE)
            elif self._is_over(claims, wall):
                self._expire(session, claims)
            elif session.pong_by and now > session.pong_by:
                session.disconnect(codes.NO_PONG)
            elif now >= session.ping_at:
                session.ping_at = now + self.heartbeat_interval
                if session.codec.native_pings or not session.codec.unidirectional:
                    session.pong_by = now + self.settings.heartbeat_timeout
                session.connection.write(session.codec.ping())
            if session.expiring:
                self._expire_subscriptions(session, wall)

    def _is_over(self, what: Claims | Subscription, wall: float) -> bool:
        """Whether its time is over: at once if the backend is asked then, later if the client has to renew it."""
        leeway = 0.0 if what.renewed_by_hook else self.settings.expiry_leeway
        return what.expires_at is not None and wall > what.expires_at + leeway

    def _expire(self, session: Session, claims: Claims) -> None:
        if not claims.renewed_by_hook or not self.backend.asks(Hook.REFRESH):
            session.disconnect(codes.CONNECTION_EXPIRED)
        else:
            self._renew(session, connect.renew(session))

    def _expire_subscriptions(self, session: Session, wall: float) -> None:
        for channel, subscription in list(session.subscriptions.items()):
            if not self._is_over(subscription, wall):
                continue
            if subscription.renewed_by_hook and self.backend.asks(Hook.SUB_REFRESH, channel):
                self._renew(subscription, subscribe.renew(session, channel, subscription))
            else:
                session.end_subscription(channel, codes.UNSUBSCRIBED_EXPIRED)

    def _renew(self, what: Session | Subscription, work: Coroutine[None, None, None]) -> None:
        """Ask the backend, once at a time for each."""
        if what in self._renewing:
            work.close()
            return
        self._renewing.add(what)

        async def renew() -> None:
            try:
                await work
            finally:
                self._renewing.discard(what)

        self._tasks.spawn(renew(), "renew")

    # what the broker reports

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        """See BrokerEvents."""
        self.hub.on_publication(channel, publication, epoch)

    def on_gap(self) -> None:
        """See BrokerEvents."""
        self.hub.on_gap()

    def on_control(self, message: bytes) -> None:
        """See BrokerEvents."""
        self.control.take(message)

    def sessions_of(self, user: str, *names: str) -> list[Session]:
        """Connections of a user here that have all these names, ids or sessions; an empty one fits all."""
        return [s for s in self._by_user.get(user, {}) if all(not name or s.has_name(name) for name in names)]

    # other workers

    def workers(self) -> tuple[NodeInfo, ...]:
        """All workers of the cluster that were heard of in the last seconds, this one first."""
        limit = self.clock() - ANNOUNCE_SECONDS * FORGET_AFTER
        self._peers = {uid: peer for uid, peer in self._peers.items() if peer[0] >= limit}
        others = [info for uid, (_, info) in sorted(self._peers.items()) if uid != self.uid]
        return (self._info(), *others)

    def note_worker(self, info: NodeInfo) -> None:
        """A worker of the cluster has said that it lives."""
        self._peers[info.uid] = (self.clock(), info)

    async def tell(self, order: control.Message, worker: str = "") -> None:
        """Have something done by all workers, or by one; raises BackplaneError."""
        await self.broker.publish_control(control.encode(order), worker)

    def spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        """Do something in the background; it may raise BackplaneError, which ends it."""

        async def quietly() -> None:
            with contextlib.suppress(BackplaneError):
                await work

        self._tasks.spawn(quietly(), name)

    async def _announce(self) -> None:
        await self.tell(control.Announce.of(self._info()))

    def _info(self) -> NodeInfo:
        uptime = int(self.clock() - self.started_at)
        users = len(self._by_user)
        return NodeInfo(
            self.uid, self.settings.name, self.version, len(self.sessions), users, len(self.hub.channels), uptime
        )


def count_subscriptions(sessions: Iterable[Session]) -> int:
    """How many subscriptions sessions have altogether."""
    return sum(len(session.subscriptions) for session in sessions)
