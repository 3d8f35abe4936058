"""Service state of this worker, and moving its connections away: implements WorkerControl."""

from __future__ import annotations

import asyncio
from itertools import islice

from realtime_server import codes
from realtime_server.codes import DisconnectCode
from realtime_server.core.limits.rates import Pace, rate_in_time
from realtime_server.core.metrics.recent_durations import RecentDurations
from realtime_server.core.metrics.totals import Totals
from realtime_server.core.model.grant import AS_THE_NAMESPACE
from realtime_server.core.node import Node
from realtime_server.core.ports.api import ServingState, WorkerStatus
from realtime_server.core.sessions.move_order import REGARDED, MoveCost, MoveOrder, move_cost
from realtime_server.core.sessions.session import Session

TICK_SECONDS = 0.05
MEASURED_ACCEPTS = 20
"""Number of accepted connections to measure before their cost is reported."""


def why_not_ready(state: ServingState, *, backplane_healthy: bool) -> str | None:
    """Return the reason why connections should go to other servers; None when they are welcome."""
    if state is not ServingState.SERVING:
        return f"the server is {state.value}"
    return None if backplane_healthy else "the backplane cannot be reached"


class Serving:
    """Service state of one worker. `tick` must be called about every TICK_SECONDS; `run` does so."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._state = ServingState.SERVING
        self._drain: Pace | None = None
        self._shed: Pace | None = None
        self._stopping = False
        self._moved = 0
        self._order: MoveOrder[Session] | None = None
        """Connections to move, while a drain or a shed is under way."""
        self._lag = RecentDurations()
        self.share: float | None = None
        """Rate in connections per second at which a drain begins that nobody has set a rate for."""
        self.left_at: float | None = None
        """Time when this worker stopped serving, in monotonic seconds; None while it serves."""
        self.changed = asyncio.Event()
        """Event that the state may have changed; the observer clears it."""

    def status(self) -> WorkerStatus:
        """See WorkerControl."""
        node, counters = self._node, self._node.counters
        connections = len(node.sessions)
        state = self._state
        if state is ServingState.DRAINING and connections == 0:
            state = ServingState.DRAINED
        cost = None
        if counters.accept_costs >= MEASURED_ACCEPTS:
            cost = counters.accept_cost_total / counters.accept_costs
        return WorkerStatus(
            state=state,
            connections=connections,
            accepted_total=counters.accepted,
            seconds_since_last_accept=None if node.last_accept is None else node.clock() - node.last_accept,
            accept_cost_seconds=cost,
            drain_rate=self._drain.rate if self._drain is not None else None,
            moved_total=self._moved,
            backplane_healthy=node.broker.healthy,
            store=node.broker.store,
            recent=counters.recent.report(node.clock()),
            share=self.share,
            connect_p99_seconds=counters.connecting.percentile(0.99, node.clock()),
            loop_lag_p99_seconds=self._lag.percentile(0.99, node.clock()),
            totals=Totals.of(counters, node.broker.roundtrips),
        )

    def why_not_ready(self) -> str | None:
        """Return the reason why connections should go to other servers; None when they are welcome."""
        return why_not_ready(self._state, backplane_healthy=self._node.broker.healthy)

    def quiesce(self) -> None:
        """See WorkerControl."""
        if self._state is ServingState.SERVING:
            self._enter(ServingState.QUIESCED)

    def resume(self) -> None:
        """See WorkerControl. Without effect on a worker that is stopping."""
        if not self._stopping:
            self._enter(ServingState.SERVING)
            self._drain = self._order = None

    def drain(self, connections_per_second: float) -> None:
        """See WorkerControl."""
        self._enter(ServingState.DRAINING)
        if self._drain is None:
            self._node.counters.drains += 1
            self._drain = Pace(connections_per_second, self._node.clock())
        else:
            self._drain.rate = connections_per_second

    def stop_drain(self) -> None:
        """See WorkerControl."""
        if self._state is ServingState.DRAINING and not self._stopping:
            self._enter(ServingState.QUIESCED)
            self._drain = self._order = None

    def set_share(self, connections_per_second: float) -> None:
        """See WorkerControl."""
        self.share = connections_per_second

    def shed(self, connections: int, connections_per_second: float) -> None:
        """See WorkerControl."""
        self._shed = Pace(connections_per_second, self._node.clock(), left=connections)
        self.changed.set()

    def stop(self, connections_per_second: float, seconds: float) -> None:
        """Drain for good: `resume` has no effect any more.

        A drain under way keeps its rate, unless it waits for one. Another begins at the share, or at
        `connections_per_second` if there is none, or faster if needed to end within `seconds`.
        """
        self._stopping = True
        if self._drain is None or self._drain.rate == 0:
            self.drain(rate_in_time(len(self._node.sessions), self.share or connections_per_second, seconds))

    def close_all(self) -> None:
        """Close every connection at once, because the process stops."""
        for session in list(self._node.sessions):
            session.disconnect(codes.SHUTDOWN)

    def tick(self) -> None:
        """Move the connections that are due now."""
        now = self._node.clock()
        if self._drain is not None:
            self._move(self._drain.due(now, len(self._node.sessions)))
        if self._shed is not None:
            self._move(self._shed.due(now, len(self._node.sessions)))
            if self._shed.finished or not self._node.sessions:
                self._shed = None
                self._order = None

    async def run(self) -> None:
        """Tick until cancelled."""
        while True:
            due = self._node.clock() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            now = self._node.clock()
            self._lag.observe(now - due, now)
            self.tick()

    @property
    def serves(self) -> bool:
        """True while this worker takes new connections."""
        return self._state is ServingState.SERVING

    @property
    def sheds(self) -> bool:
        """True while a shed is under way."""
        return self._shed is not None

    def _enter(self, state: ServingState) -> None:
        self._state = state
        if state is ServingState.SERVING:
            self.left_at = None
        elif self.left_at is None:
            self.left_at = self._node.clock()
        self.changed.set()

    def _move(self, count: int) -> None:
        """Move the next `count` connections; there are as many."""
        if count == 0:
            return
        moved = 0 if self._order is None else self._disconnect(self._order.take(count))
        if moved < count:  # the move begins, or others have come since
            self._order = _order(self._node)
            self._disconnect(self._order.take(count - moved))

    def _disconnect(self, sessions: list[Session]) -> int:
        for session in sessions:
            session.disconnect(MOVE)
            self._moved += 1
            self._node.counters.count_moved()
        return len(sessions)


MOVE: DisconnectCode = codes.FORCE_RECONNECT


def _order(node: Node) -> MoveOrder[Session]:
    """Return the connections of a worker in the order in which they are to be moved."""
    channels, now = node.hub.channels, node.clock()

    def cost(session: Session) -> MoveCost:
        options = [
            channel.options if its.override is AS_THE_NAMESPACE else its.override.applied_to(channel.options)
            for its in islice(session.subscriptions.values(), REGARDED)
            if (channel := channels.get(its.channel)) is not None
        ]
        return move_cost(options, session.connection.written_bytes, now - session.opened_at)

    return MoveOrder(node.sessions, cost)
