"""Counters of the hot path: plain integers, read at each scrape and status request."""

from __future__ import annotations

import bisect
import time
from collections import Counter
from collections.abc import Callable, Iterator

from realtime_server.core.limits.limit import BY_DISCONNECT, BY_REJECTION, Limit
from realtime_server.core.metrics.recent_durations import RecentDurations
from realtime_server.core.metrics.recent_events import CONNECTED, HANDSHAKE_STATUS, MOVED, RecentCounter, failure_name

DELIVERY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds in seconds."""
CONNECT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds in seconds."""
MEASURED_ACCEPTS = 500
"""Number of connections that are all measured; of later ones, one in MEASURED_PART is."""
MEASURED_PART = 8


class LatencyHistogram:
    """Histogram of durations in seconds; `bounds` are the upper bounds of its buckets, in increasing order."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        """Durations per bucket, not cumulative; the last bucket has no bound."""
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Record one duration."""
        self.counts[bisect.bisect_left(self.bounds, seconds)] += 1
        self.total += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Return the buckets in Prometheus's form: upper bound, number of durations up to it."""
        buckets, sofar = [], 0
        for bound, count in zip((*map(str, self.bounds), "+Inf"), self.counts, strict=True):
            sofar += count
            buckets.append((bound, float(sofar)))
        return buckets


class Counters:
    """Totals since the start of the worker, and a few events of the last seconds. `clock` is monotonic seconds."""

    __slots__ = (
        "_begun_accepts", "_clock",
        "accept_cost_total", "accept_costs", "accepted", "backplane_gaps", "bytes_received",
        "command_errors", "connect_times", "connecting", "connects", "connects_failed", "delivery", "disconnects",
        "drained_connections", "drains", "handshakes_rejected", "limits", "messages_received", "publications",
        "publications_dropped", "recent", "recoveries", "since",
    )  # fmt: skip

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.since = time.time()
        """Unix time of the start, by which totals of another process are told from these."""
        self.recent = RecentCounter()
        self.connecting = RecentDurations()
        """Times from connections to their connect replies, of the last seconds."""
        self.connect_times = LatencyHistogram(CONNECT_BUCKETS)
        """The same since the start."""
        self.accepted = 0
        self.connects = 0
        self.connects_failed: Counter[str] = Counter()
        self.handshakes_rejected: Counter[str] = Counter()
        self.messages_received = 0
        self.bytes_received = 0
        self.publications = 0
        self.publications_dropped: Counter[str] = Counter()
        self.disconnects: Counter[int] = Counter()
        self.command_errors: Counter[int] = Counter()
        self.limits: Counter[Limit] = Counter()
        """Exceeded limits that no code or reason stands for; see `limits_exceeded`."""
        self.drains = 0
        self.drained_connections = 0
        self.backplane_gaps = 0
        self.recoveries: Counter[bool] = Counter()
        self._begun_accepts = 0
        self.accept_costs = 0
        self.accept_cost_total = 0.0
        self.delivery = LatencyHistogram(DELIVERY_BUCKETS)

    def count_connect(self, opened_at: float) -> None:
        """Count a connect command that was answered with a result, of a connection that was opened at this time."""
        now = self._clock()
        self.connects += 1
        self.recent.count(CONNECTED, now)
        self.connecting.observe(now - opened_at, now)
        self.connect_times.observe(now - opened_at)

    def count_failed_connect(self, code: int) -> None:
        """Count a connect that was refused or ended before its reply, unless its code stands for no failure."""
        name = failure_name(code)
        if name is not None:
            self._count_failure(name)

    def count_rejected_handshake(self, reason: str) -> None:
        """Count a refused handshake or request; that of a well-meaning client counts as a failed connect too."""
        self.handshakes_rejected[reason] += 1
        status = HANDSHAKE_STATUS.get(reason)
        if status is not None:
            self._count_failure(status)

    def _count_failure(self, name: str) -> None:
        self.connects_failed[name] += 1
        self.recent.count(name, self._clock())

    def count_moved(self) -> None:
        """Count a connection that was told to connect to another server."""
        self.drained_connections += 1
        self.recent.count(MOVED, self._clock())

    def measures_next_accept(self) -> bool:
        """Return True when the cost of the next connection should be measured.

        Reading the CPU clock is expensive itself. The first connections are all measured, because few have to suffice
        for a budget.
        """
        self._begun_accepts += 1
        return self.accept_costs < MEASURED_ACCEPTS or self._begun_accepts % MEASURED_PART == 0

    def observe_accept(self, cpu_seconds: float) -> None:
        """Record the CPU time of one connection, from its first byte to its open session."""
        self.accept_costs += 1
        self.accept_cost_total += cpu_seconds

    def limits_exceeded(self) -> Iterator[tuple[Limit, int]]:
        """Yield each limit with the number of times it was exceeded, codes and reasons that mean it included."""
        for limit in Limit:
            count = self.limits[limit]
            count += sum(self.disconnects[code] for code, meant in BY_DISCONNECT.items() if meant is limit)
            count += sum(self.handshakes_rejected[reason] for reason, meant in BY_REJECTION.items() if meant is limit)
            yield limit, count
