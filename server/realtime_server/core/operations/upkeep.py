"""Periodic work on all sessions: pings, and expiry of connections and subscriptions."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from realtime_server import codes
from realtime_server.core.auth.claims import Claims
from realtime_server.core.model.subscription import Subscription
from realtime_server.core.operations.entry import Entry
from realtime_server.core.operations.subscriptions import Subscriptions
from realtime_server.core.ports.backend import Backend, Hook
from realtime_server.core.sessions.registry import Registry
from realtime_server.core.sessions.session import Session
from realtime_server.core.tasks import TaskGroup


@dataclass(frozen=True, slots=True)
class Timing:
    """Times in seconds, see NodeSettings."""

    heartbeat_interval: float
    heartbeat_timeout: float
    connect_seconds: float
    expiry_leeway: float


class Upkeep:
    """Periodic work on a worker's sessions. `clock` is monotonic seconds, `wall_clock` Unix time in seconds."""

    def __init__(
        self,
        registry: Registry,
        entry: Entry,
        subscriptions: Subscriptions,
        backend: Backend,
        tasks: TaskGroup,
        timing: Timing,
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
    ) -> None:
        self._registry = registry
        self._entry = entry
        self._subscriptions = subscriptions
        self._backend = backend
        self._tasks = tasks
        self._timing = timing
        self._clock = clock
        self._wall_clock = wall_clock
        self._renewing: set[Session | Subscription] = set()

    def beat(self) -> None:
        """Ping the sessions that are due, and end those that are late or expired; call this every second."""
        now, wall = self._clock(), self._wall_clock()
        timing = self._timing
        for session in list(self._registry.sessions):
            claims = session.claims
            if claims is None:
                if now - session.opened_at > timing.connect_seconds:
                    session.disconnect(codes.STALE)
            elif self._is_over(claims, wall):
                self._expire(session, claims)
            elif session.awaits_pong:
                if not session.is_alive(now):
                    session.disconnect(codes.NO_PONG)
            elif now >= session.ping_at:
                session.ping(now, timing.heartbeat_interval, timing.heartbeat_timeout)
            if session.expiring:
                self._expire_subscriptions(session, wall)

    def _is_over(self, what: Claims | Subscription, wall: float) -> bool:
        """Return True when a time is over; a client that renews it itself gets the leeway."""
        leeway = 0.0 if what.renewed_by_hook else self._timing.expiry_leeway
        return what.expires_at is not None and wall > what.expires_at + leeway

    def _expire(self, session: Session, claims: Claims) -> None:
        if not claims.renewed_by_hook or not self._backend.asks(Hook.REFRESH):
            session.disconnect(codes.CONNECTION_EXPIRED)
        else:
            self._renew(session, self._entry.renew(session))

    def _expire_subscriptions(self, session: Session, wall: float) -> None:
        for channel, subscription in list(session.subscriptions.items()):
            if not self._is_over(subscription, wall):
                continue
            if subscription.renewed_by_hook and self._backend.asks(Hook.SUB_REFRESH, channel):
                self._renew(subscription, self._subscriptions.renew(session, channel, subscription))
            else:
                session.end_subscription(channel, codes.UNSUBSCRIBED_EXPIRED)

    def _renew(self, what: Session | Subscription, work: Coroutine[None, None, None]) -> None:
        """Run `work`, which asks the backend, unless it runs for the same object already."""
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
