"""Node of a worker: composition of core, its periodic work, and the receiver of the broker's events."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
import uuid
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from typing import TypeAlias

import structlog

from realtime_server.core.auth.verifier import TokenVerifier
from realtime_server.core.channels.channel_watch import ChannelWatch
from realtime_server.core.channels.hub import Hub
from realtime_server.core.channels.presence import PRESENCE_RENEW_SECONDS
from realtime_server.core.channels.traced_hub import TracedHub
from realtime_server.core.commands.command_session import BinaryCommandSession, CommandSession
from realtime_server.core.commands.connect import ConnectHandler, ServerInfo
from realtime_server.core.commands.dispatcher import Dispatcher
from realtime_server.core.control import messages as control
from realtime_server.core.control.asks import Asks
from realtime_server.core.control.handler import ControlHandler
from realtime_server.core.control.peers import ANNOUNCE_SECONDS, Peers
from realtime_server.core.control.revoker import READ_AGAIN_SECONDS, Revoker
from realtime_server.core.control.single_connection import SingleConnection
from realtime_server.core.limits.limit import NodeLimits
from realtime_server.core.limits.rates import MessageRate
from realtime_server.core.metrics.counters import Counters
from realtime_server.core.model.errors import BackplaneError, UnknownNodeError
from realtime_server.core.model.namespaces import Namespaces
from realtime_server.core.model.values import Publication
from realtime_server.core.operations.entry import Entry
from realtime_server.core.operations.ordered_joins import OrderedSubscriptions
from realtime_server.core.operations.publishing import Publishing, TracedPublishing
from realtime_server.core.operations.reading import Reading
from realtime_server.core.operations.refreshed import RefreshedSubscriptions
from realtime_server.core.operations.session_recovery import RENEW_SECONDS, SessionRecovery
from realtime_server.core.operations.subscriptions import Subscriptions
from realtime_server.core.operations.upkeep import Timing, Upkeep
from realtime_server.core.ports.api import NodeInfo
from realtime_server.core.ports.backend import Backend, NoBackend, TransportInfo
from realtime_server.core.ports.backplane import Broker, ChannelOccupancy, PresenceStore, RevocationStore
from realtime_server.core.ports.client import CommandCodec, Connection
from realtime_server.core.ports.session_store import SessionStore
from realtime_server.core.ports.tracing import NO_TRACING, Tracing
from realtime_server.core.sessions.registry import Registry
from realtime_server.core.sessions.session import Session, SessionContext
from realtime_server.core.tasks import TaskGroup

logger = structlog.get_logger()

WATCH_SECONDS = 3.0
"""Interval of reporting channels that became vacant unnoticed."""
RETRY_SECONDS = 0.5
WEBSOCKET = TransportInfo()


SessionFactory: TypeAlias = Callable[[SessionContext, str, str], Session]
"""Maker of the session of a new connection, from the id of its client, and its secret or ""."""


@dataclass(frozen=True, slots=True)
class NodeSettings:
    """Settings of a node; times in seconds."""

    name: str
    version: str
    namespaces: Namespaces
    limits: NodeLimits
    heartbeat_interval: float
    heartbeat_timeout: float
    anonymous: bool
    connect_seconds: float = 10.0
    """Time limit for a client's connect command to be answered."""
    revocation_seconds: float = 2_592_000.0
    """Lifetime of a revocation without an expiry of its own."""
    expiry_leeway: float = 0.0
    """Time after the expiry of a connection or a subscription within which its client may still renew it."""

    @property
    def patience(self) -> float:
        """Time after which a pinged client that stays silent is disconnected."""
        return self.heartbeat_interval + self.heartbeat_timeout


@dataclass(frozen=True, slots=True)
class Operations:
    """Operations of clients, for the sessions of any client protocol.

    `on_connected` is to be called with each session that has got channels along with its connection. `immediate`: none
    of them ever waits. `recovery` is None where states of sessions are not kept.
    """

    entry: Entry
    subscriptions: Subscriptions
    ordered: OrderedSubscriptions
    recovery: SessionRecovery | None
    publishing: Publishing
    reading: Reading
    on_connected: Callable[[Session], None]
    immediate: bool


class Node:
    """Node of a worker: implements BrokerEvents. `clock` is monotonic seconds, `wall_clock` Unix time in seconds."""

    def __init__(
        self,
        settings: NodeSettings,
        broker: Broker,
        presence: PresenceStore,
        verifier: TokenVerifier,
        backend: Backend | None = None,
        occupancy: ChannelOccupancy | None = None,
        *,
        revocations: RevocationStore,
        sessions: SessionStore | None = None,
        tracing: Tracing | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.uid = str(uuid.uuid4())
        self.counters = counters = Counters(clock)
        self.clock = clock
        self.started_at = clock()
        self.last_accept: float | None = None
        self.broker = broker
        self.has_backend = backend is not None
        self.ignores_tokens = verifier.ignores_tokens
        self._has_joined = False
        """True once the other workers may know of this one."""
        self.broken = asyncio.Event()
        """Event that periodic work has failed unexpectedly: this worker must be replaced."""
        self._tasks = tasks = TaskGroup(self.broken.set)
        immediate = backend is None and broker.immediate
        backend = backend or NoBackend()
        limits = settings.limits
        watched = occupancy is not None and backend.watches_channels
        self._watch = ChannelWatch(occupancy, backend) if watched and occupancy is not None else None
        self._registry = Registry()
        self.sessions = self._registry.sessions
        self.hub = (Hub if tracing is None else TracedHub)(
            settings.namespaces,
            broker,
            presence,
            counters,
            tasks,
            clock,
            verifier.revocations,
            self._registry.with_client,
            self._watch,
            NO_TRACING if tracing is None else tracing,
        )
        self._peers = Peers(clock)
        entry = Entry(
            self._registry,
            verifier,
            backend,
            settings.namespaces,
            limits,
            counters,
            anonymous=settings.anonymous,
            heartbeat_interval=settings.heartbeat_interval,
            clock=clock,
            wall_clock=wall_clock,
        )
        self.subscriptions = Subscriptions(self.hub, entry, backend, limits, counters, wall_clock=wall_clock)
        refreshed = RefreshedSubscriptions(self.hub, self.subscriptions, limits, counters, tasks)
        self._context = SessionContext(
            self.hub,
            counters,
            limits,
            MessageRate(limits.messages_per_second, limits.message_burst),
            clock,
            wall_clock,
            entry.on_closed,
            immediate,
        )
        single_connection = SingleConnection(settings.namespaces, self.hub, self._registry, tasks, send=self.tell)
        publishing = (
            Publishing(self.hub, backend, limits)
            if tracing is None
            else TracedPublishing(self.hub, backend, limits, tracing)
        )
        self.operations = Operations(
            entry,
            self.subscriptions,
            OrderedSubscriptions(self.hub, self.subscriptions),
            None if sessions is None else SessionRecovery(sessions, tasks),
            publishing,
            Reading(self.hub),
            single_connection.on_connected,
            immediate,
        )
        self._dispatcher = Dispatcher(
            entry,
            ConnectHandler(
                ServerInfo(settings.version, self.uid, settings.heartbeat_interval),
                entry,
                self.subscriptions,
                refreshed,
                single_connection.on_connected,
            ),
            self.subscriptions,
            publishing,
            self.operations.reading,
            immediate=immediate,
        )
        timing = Timing(
            settings.heartbeat_interval, settings.heartbeat_timeout, settings.connect_seconds, settings.expiry_leeway
        )
        self._upkeep = Upkeep(
            self._registry,
            entry,
            self.subscriptions,
            backend,
            tasks,
            timing,
            clock=clock,
            wall_clock=wall_clock,
        )
        self.revoker = Revoker(
            verifier.revocations,
            revocations,
            self.sessions.keys(),
            tasks,
            send=self.tell,
            wall_clock=wall_clock,
            keep_seconds=settings.revocation_seconds,
        )
        self.asks = Asks(self.uid, self._peers, tasks, send=self.tell, answer_bytes=limits.outbox_bytes)
        self.control = ControlHandler(
            self.uid,
            self._registry,
            self.hub,
            self.subscriptions,
            self.revoker,
            self._peers,
            tasks,
            single_connection,
            self.asks,
            send=self.tell,
            announce=self._announce,
            emulate=self._take_emulated,
        )

    # life

    async def start(self) -> None:
        """Connect to the backplane, retrying until it answers, and start the periodic work."""
        await self._until_done(lambda: self.broker.start(self, self.uid))
        self._has_joined = True
        await self._until_done(self.revoker.catch_up)  # before anybody may show a token
        for seconds, work, name in (
            (1.0, self._beat, "heartbeat"),
            (ANNOUNCE_SECONDS, self._announce, "announce"),
            (PRESENCE_RENEW_SECONDS, self.hub.renew_presence, "presence"),
            (READ_AGAIN_SECONDS, self.revoker.catch_up, "revocations"),
        ):
            self._tasks.spawn(self._every(seconds, work), name)
        if self.operations.recovery is not None:
            self._tasks.spawn(self._every(RENEW_SECONDS, self.operations.recovery.renew), "session-states")
        if self._watch is not None:
            self._tasks.spawn(self._every(WATCH_SECONDS, self._watch.catch_up), "channel-watch")

    async def _until_done(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        while True:
            try:
                await work()
            except BackplaneError as error:
                logger.warning("backplane is unavailable", error=str(error))
                await asyncio.sleep(RETRY_SECONDS * random.uniform(1, 2))  # noqa: S311 - spreads the attempts
            else:
                return

    async def stop(self) -> None:
        """Stop the periodic work, tell the others, and close the links to the backplane."""
        await self._tasks.cancel()
        if self._has_joined and not self.broken.is_set():
            with contextlib.suppress(BackplaneError):
                await self.tell(control.Leave(self.uid))
        await self.broker.stop()

    async def _every(self, seconds: float, work: Callable[[], Coroutine[None, None, None]]) -> None:
        while True:
            with contextlib.suppress(BackplaneError):
                await work()
            await asyncio.sleep(seconds)

    async def _beat(self) -> None:
        self.hub.check_quiet_channels()
        self.asks.check()
        self._upkeep.beat()

    # sessions

    def accept(
        self,
        connection: Connection,
        codec: CommandCodec,
        transport: TransportInfo = WEBSOCKET,
        *,
        emulated: bool = False,
    ) -> Session:
        """Open the session of a new connection whose client sends commands, see `open`."""

        def make(context: SessionContext, client: str, secret: str) -> Session:
            kind = BinaryCommandSession if codec.binary else CommandSession
            return kind(self._dispatcher, context, connection, codec, client, transport, secret=secret)

        return self.open(make, emulated=emulated)

    def open(self, make: SessionFactory, *, emulated: bool = False) -> Session:
        """Open the session of a new connection in any client protocol; it is not admitted yet.

        The messages of an `emulated` one arrive by `emulate`.
        """
        session = make(self._context, secrets.token_hex(16), secrets.token_hex(16) if emulated else "")
        self._registry.add(session)
        self.counters.accepted += 1
        self.last_accept = session.opened_at
        return session

    def accept_probe(self, connection: Connection, codec: CommandCodec, transport: TransportInfo) -> Session:
        """Open the session of a connection that is no client's: nothing of it is counted."""
        context = replace(self._context, counters=Counters(self.clock))
        session = CommandSession(self._dispatcher, context, connection, codec, secrets.token_hex(16), transport)
        self._registry.add(session)
        return session

    async def emulate(self, node: str, session: str, data: bytes) -> None:
        """Pass commands to an emulated session of any worker of the cluster; calls are not ordered.

        An unknown session is ignored: its client sees its stream end. Raises UnknownNodeError for a worker that is not
        alive, and BackplaneError.
        """
        request = control.Emulate(session, data)
        if node == self.uid:
            self._take_emulated(request)
        elif self._peers.may_live(node):
            await self.broker.publish_control(control.encode(request), node)
        else:
            raise UnknownNodeError(node)

    def _take_emulated(self, request: control.Emulate) -> None:
        """Handle commands of an emulated session of this worker; unknown sessions are ignored."""
        session = self._registry.emulated(request.session)
        if session is not None:
            self.counters.messages_received += 1
            session.on_binary(request.data, self.clock())

    # what the broker reports

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        """See BrokerEvents."""
        self.hub.on_publication(channel, publication, epoch)

    def on_interrupted(self) -> None:
        """See BrokerEvents."""
        self.hub.on_interrupted()

    def on_gap(self) -> None:
        """See BrokerEvents."""
        self.hub.on_gap()
        self.revoker.note_gap()
        self.asks.note_gap()

    def on_control(self, message: bytes) -> None:
        """See BrokerEvents."""
        self.control.take(message)

    # other workers

    def workers(self) -> tuple[NodeInfo, ...]:
        """Return all workers of the cluster that announced themselves lately, this one first."""
        return (self._info(), *(info for info in self._peers.living() if info.uid != self.uid))

    async def tell(self, message: control.Message, worker: str = "") -> None:
        """Send a control message to all workers, or to one. Raises BackplaneError."""
        await self.broker.publish_control(control.encode(message), worker)

    async def _announce(self, worker: str = "") -> None:
        await self.tell(control.Announce.of(self._info()), worker)

    def _info(self) -> NodeInfo:
        return NodeInfo(
            self.uid,
            self.settings.name,
            self.settings.version,
            len(self.sessions),
            self._registry.users,
            len(self.hub.channels),
            int(self.clock() - self.started_at),
        )


def count_subscriptions(sessions: Iterable[Session]) -> int:
    """Count the subscriptions of all given sessions."""
    return sum(len(session.subscriptions) for session in sessions)
