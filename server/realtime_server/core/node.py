"""A worker's node: its sessions and channels, and what the APIs may ask of it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core import control
from realtime_server.core.auth import Claims, TokenRefusedError, TokenVerifier
from realtime_server.core.channel import Channel, Joining
from realtime_server.core.commands import SubscribeRequest, SubscribeResult
from realtime_server.core.counters import Counters
from realtime_server.core.join import Join, is_complete
from realtime_server.core.namespaces import ChannelOptions, Namespaces
from realtime_server.core.ports import BackplaneError, Broker, CommandError, Connection, NodeInfo, PresenceStore, Wire
from realtime_server.core.publication import encode_publication
from realtime_server.core.session import Session
from realtime_server.core.tasks import has_failed
from realtime_server.core.values import (
    ClientInfo,
    HistoryPage,
    HistoryQuery,
    PresenceStats,
    Publication,
    StreamPosition,
)

PRESENCE_TTL_SECONDS = 60.0
PRESENCE_RENEW_SECONDS = 20.0
ANNOUNCE_SECONDS = 3.0
"""How often a worker tells the others of itself, for the API method `info`."""
FORGET_AFTER = 3.5
"""A worker that was silent for this many announcements is gone."""
CONNECT_SECONDS = 10.0
"""How long a client may take to send its connect command."""
RETRY_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class NodeLimits:
    """What one connection may do."""

    channels_per_connection: int
    messages_per_second: int


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


class Node:
    """Implements RealtimeApi and BrokerEvents; `clock` is monotonic seconds, `wall_clock` Unix time in seconds."""

    def __init__(
        self,
        settings: NodeSettings,
        broker: Broker,
        presence: PresenceStore,
        verifier: TokenVerifier,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.limits = settings.limits
        self.version = settings.version
        self.heartbeat_interval = settings.heartbeat_interval
        self.uid = str(uuid.uuid4())
        self.counters = Counters()
        self.sessions: dict[Session, None] = {}
        self.channels: dict[str, Channel] = {}
        self.clock = clock
        self.wall_clock = wall_clock
        self.started_at = clock()
        self.last_accept: float | None = None
        self.broker = broker
        self._presence = presence
        self._verifier = verifier
        self._by_user: dict[str, dict[Session, None]] = {}
        self._peers: dict[str, tuple[float, NodeInfo]] = {}
        self.broken = asyncio.Event()
        """Set when periodic work has failed in a way that nobody foresaw: this worker must be replaced."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._random = random.Random()  # noqa: S311 - spreads pings, nothing depends on it

    # life

    async def start(self) -> None:
        """Connect to the backplane (again and again until it is there) and begin the periodic work."""
        while True:
            try:
                await self.broker.start(self)
                break
            except BackplaneError:
                await asyncio.sleep(RETRY_SECONDS * (1 + self._random.random()))
        for seconds, work, name in (
            (1.0, self._beat, "heartbeat"),
            (ANNOUNCE_SECONDS, self._announce, "announce"),
            (PRESENCE_RENEW_SECONDS, self._renew_presence, "presence"),
        ):
            self._spawn(self._every(seconds, work), name)

    async def stop(self) -> None:
        """End the periodic work and the links to the backplane."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.broker.stop()

    def _spawn(self, work: Coroutine[None, None, None], name: str) -> None:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if has_failed(task):
            self.broken.set()

    async def _every(self, seconds: float, work: Callable[[], Coroutine[None, None, None]]) -> None:
        while True:
            with contextlib.suppress(BackplaneError):
                await work()
            await asyncio.sleep(seconds)

    # sessions

    def accept(self, connection: Connection, wire: Wire) -> Session:
        """A new connection, not yet authenticated."""
        now = self.clock()
        session = Session(self, connection, wire, str(uuid.uuid4()), now)
        self.sessions[session] = None
        self.counters.accepted += 1
        self.last_accept = now
        return session

    def authenticate(self, token: str) -> Claims:
        """Who the client is; raises TokenRefusedError."""
        if token:
            return self._verifier.verify(token)
        if self.settings.anonymous:
            return Claims(user="")
        raise TokenRefusedError(codes.UNAUTHORIZED)

    def open(self, session: Session) -> None:
        """The client has said who it is: it is pinged from now on and can be found by its user."""
        spread = 0.5 + self._random.random() / 2
        session.ping_at = self.clock() + self.heartbeat_interval * spread
        self._by_user.setdefault(session.user, {})[session] = None

    def forget(self, session: Session) -> None:
        """A connection is gone."""
        self.sessions.pop(session, None)
        if session.claims is not None:
            same_user = self._by_user.get(session.user, {})
            same_user.pop(session, None)
            if not same_user:
                self._by_user.pop(session.user, None)
        for channel in session.subscriptions.values():
            self.leave(session, channel)
        session.subscriptions.clear()

    async def _beat(self) -> None:
        now, wall = self.clock(), self.wall_clock()
        for session in list(self.sessions):
            claims = session.claims
            if claims is None:
                if now - session.opened_at > CONNECT_SECONDS:
                    session.disconnect(codes.STALE)
            elif claims.expires_at is not None and wall > claims.expires_at + 1:
                session.disconnect(codes.CONNECTION_EXPIRED)
            elif session.pong_by and now > session.pong_by:
                session.disconnect(codes.NO_PONG)
            elif now >= session.ping_at:
                session.ping_at = now + self.heartbeat_interval
                session.pong_by = now + self.settings.heartbeat_timeout
                session.connection.write(session.wire.ping())

    # subscriptions

    def options_of(self, channel: str) -> ChannelOptions | None:
        """The options of a channel; None for one that cannot exist."""
        return self.settings.namespaces.of(channel)

    async def join(self, session: Session, name: str, request: SubscribeRequest) -> Join:
        """Prepare a subscription. Raises CommandError or BackplaneError, and then nothing is left of it."""
        options = self._require(name)
        channel = self.channels.get(name)
        if channel is None:
            channel = self.channels[name] = Channel(name, options)
        joining = Joining()
        channel.joining.append(joining)
        try:
            await self._make_live(channel)
            if options.presence:
                await self._presence.add(name, session.client, session.client_info(), PRESENCE_TTL_SECONDS)
            result = await self._position(channel, request)
        except BaseException:
            channel.joining.remove(joining)
            self.leave(session, channel)
            raise
        return Join(session, channel, joining, result)

    async def _make_live(self, channel: Channel) -> None:
        async with channel.lock:
            if not channel.live:
                await self.broker.subscribe(channel.name)
                channel.live = True

    async def _position(self, channel: Channel, request: SubscribeRequest) -> SubscribeResult:
        options = channel.options
        if options.history is None:
            return SubscribeResult()
        recovering = options.recovery and request.recover
        since = StreamPosition(request.offset, request.epoch) if recovering else None
        query = HistoryQuery(-1 if recovering else 0, since)
        page = await self.broker.history(channel.name, query, options.history)
        recovered = recovering and is_complete(page, request)
        if recovering:
            self.counters.recoveries[recovered] += 1
        return SubscribeResult(
            recoverable=options.recovery,
            positioned=options.recovery,
            epoch=page.position.epoch,
            offset=page.position.offset,
            publications=page.publications if recovered else (),
            recovered=recovered,
            was_recovering=recovering,
        )

    def leave(self, session: Session, channel: Channel) -> None:
        """A session no longer gets the channel."""
        channel.remove(session)
        if channel.options.presence:
            self._spawn(self._remove_presence(channel.name, session.client), "leave")
        self._release(channel)

    async def _remove_presence(self, channel: str, client: str) -> None:
        with contextlib.suppress(BackplaneError):
            await self._presence.remove(channel, client)

    def _release(self, channel: Channel) -> None:
        if channel.unused:
            self._spawn(self._retire(channel), f"release-{channel.name}")

    async def _retire(self, channel: Channel) -> None:
        async with channel.lock:
            if channel.unused and channel.live:
                channel.retire()
                with contextlib.suppress(BackplaneError):
                    await self.broker.unsubscribe(channel.name)
            if channel.unused and not channel.live and self.channels.get(channel.name) is channel:
                del self.channels[channel.name]

    async def _renew_presence(self) -> None:
        for channel in list(self.channels.values()):
            if channel.options.presence:
                for session in channel.subscribers():
                    info = session.client_info()
                    await self._presence.add(channel.name, session.client, info, PRESENCE_TTL_SECONDS)

    # what the broker reports

    def on_publication(self, channel: str, publication: Publication, epoch: str) -> None:
        """Deliver to the subscribers here."""
        found = self.channels.get(channel)
        if found is not None and not found.receive(publication, epoch):
            self._spawn(self._resync(found), f"resync-{channel}")

    def on_gap(self) -> None:
        """Check every position: what was published meanwhile is in the history, or its loss is told."""
        self.counters.backplane_gaps += 1
        for channel in self.channels.values():
            self.check_position(channel)

    def check_position(self, channel: Channel) -> None:
        """Read from the history what may be missing, and deliver it or tell its loss."""
        if channel.suspect():
            self._spawn(self._resync(channel), f"resync-{channel.name}")

    async def _resync(self, channel: Channel) -> None:
        history = channel.options.history
        while history is not None and (backlog := channel.backlog) is not None and channel.position is not None:
            covered = len(backlog)
            try:
                page = await self.broker.history(channel.name, HistoryQuery(-1, channel.position), history)
            except BackplaneError:
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if channel.backlog is not backlog:
                return  # Another check has begun since, or nobody is here any more.
            channel.fill(page, covered)

    def on_control(self, message: bytes) -> None:
        """Carry out what another server asks for, or note that it lives."""
        request = control.decode(message)
        if isinstance(request, control.Disconnect):
            for session in self._sessions_of(request.user, request.client):
                session.disconnect(DisconnectCode(request.code, request.reason))
        elif isinstance(request, control.Unsubscribe):
            for session in self._sessions_of(request.user, request.client):
                session.end_subscription(request.channel, codes.UNSUBSCRIBED)
        elif isinstance(request, control.Announce):
            self._peers[request.uid] = (self.clock(), request.to_info())

    def _sessions_of(self, user: str, client: str) -> list[Session]:
        return [s for s in self._by_user.get(user, {}) if not client or s.client == client]

    # the API

    async def publish(
        self, channel: str, data: bytes, *, skip_history: bool = False, tags: Mapping[str, str] | None = None
    ) -> StreamPosition | None:
        """See RealtimeApi."""
        options = self._require(channel)
        return await self._publish(channel, options, encode_publication(data, tags=tags), skip_history=skip_history)

    async def publish_from(self, info: ClientInfo, channel: str, data: bytes) -> StreamPosition | None:
        """A client publishes; who it is goes with the publication."""
        options = self._require(channel)
        return await self._publish(channel, options, encode_publication(data, info=info), skip_history=False)

    async def _publish(
        self, channel: str, options: ChannelOptions, encoded: bytes, *, skip_history: bool
    ) -> StreamPosition | None:
        began = self.clock()
        position = await self.broker.publish(channel, encoded, None if skip_history else options.history)
        self.counters.publications += 1
        self.counters.observe_delivery(self.clock() - began)
        return position

    async def presence(self, channel: str) -> Mapping[str, ClientInfo]:
        """See RealtimeApi."""
        self._require_presence(channel)
        return await self._presence.members(channel)

    async def presence_stats(self, channel: str) -> PresenceStats:
        """See RealtimeApi."""
        self._require_presence(channel)
        return await self._presence.stats(channel)

    async def history(self, channel: str, query: HistoryQuery) -> HistoryPage:
        """See RealtimeApi."""
        options = self._require(channel)
        if options.history is None:
            raise CommandError(codes.NOT_AVAILABLE)
        page = await self.broker.history(channel, query, options.history)
        if query.since is not None and query.since.epoch and query.since.epoch != page.position.epoch:
            raise CommandError(codes.UNRECOVERABLE_POSITION)
        return page

    async def history_remove(self, channel: str) -> None:
        """See RealtimeApi."""
        if self._require(channel).history is None:
            raise CommandError(codes.NOT_AVAILABLE)
        await self.broker.remove_history(channel)

    async def disconnect(self, user: str, *, client: str = "", code: DisconnectCode | None = None) -> None:
        """See RealtimeApi."""
        told = code or codes.FORCE_DISCONNECT
        await self.broker.publish_control(control.encode(control.Disconnect(user, client, told.code, told.reason)))

    async def unsubscribe(self, user: str, channel: str, *, client: str = "") -> None:
        """See RealtimeApi."""
        self._require(channel)
        await self.broker.publish_control(control.encode(control.Unsubscribe(user, client, channel)))

    async def info(self) -> tuple[NodeInfo, ...]:
        """See RealtimeApi."""
        limit = self.clock() - ANNOUNCE_SECONDS * FORGET_AFTER
        self._peers = {uid: peer for uid, peer in self._peers.items() if peer[0] >= limit}
        others = [info for uid, (_, info) in sorted(self._peers.items()) if uid != self.uid]
        return (self._info(), *others)

    async def _announce(self) -> None:
        await self.broker.publish_control(control.encode(control.Announce.of(self._info())))

    def _info(self) -> NodeInfo:
        uptime = int(self.clock() - self.started_at)
        users = len(self._by_user)
        return NodeInfo(
            self.uid, self.settings.name, self.version, len(self.sessions), users, len(self.channels), uptime
        )

    def _require(self, channel: str) -> ChannelOptions:
        options = self.options_of(channel)
        if options is None:
            raise CommandError(codes.UNKNOWN_CHANNEL)
        return options

    def _require_presence(self, channel: str) -> None:
        if not self._require(channel).presence:
            raise CommandError(codes.NOT_AVAILABLE)


def count_subscriptions(sessions: Iterable[Session]) -> int:
    """How many subscriptions sessions have altogether."""
    return sum(len(session.subscriptions) for session in sessions)
