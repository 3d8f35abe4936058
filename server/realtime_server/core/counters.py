"""What is counted on the hot path: plain integers, read by the metrics when they are asked for."""

from __future__ import annotations

from collections import Counter

from realtime_server.core.latency import LatencyHistogram
from realtime_server.core.limits import Limit

DELIVERY_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds in seconds."""
MEASURED_ACCEPTS = 500
"""So many connections are measured all, of later ones one in MEASURED_PART."""
MEASURED_PART = 8


class Counters:
    """Totals since the start of the worker."""

    __slots__ = (
        "_begun_accepts",
        "accept_cost_total", "accept_costs", "accepted", "backplane_gaps", "bytes_received",
        "command_errors", "delivery", "disconnects", "drained_connections", "drains",
        "handshakes_rejected", "limits", "messages_received", "publications",
        "publications_dropped", "recoveries",
    )  # fmt: skip

    def __init__(self) -> None:
        self.accepted = 0
        self.handshakes_rejected: Counter[str] = Counter()
        self.messages_received = 0
        self.bytes_received = 0
        self.publications = 0
        self.publications_dropped: Counter[str] = Counter()
        self.disconnects: Counter[int] = Counter()
        self.command_errors: Counter[int] = Counter()
        self.limits: Counter[Limit] = Counter()
        """What was exceeded, as far as neither a code nor a reason says it; see core.limits."""
        self.drains = 0
        self.drained_connections = 0
        self.backplane_gaps = 0
        self.recoveries: Counter[bool] = Counter()
        self._begun_accepts = 0
        self.accept_costs = 0
        self.accept_cost_total = 0.0
        self.delivery = LatencyHistogram(DELIVERY_BUCKETS)

    def measures_next_accept(self) -> bool:
        """Whether to measure what the next connection costs: reading the clock of CPU time costs much itself.

        The first ones are measured all, because few connections have to be enough for a budget.
        """
        self._begun_accepts += 1
        return self.accept_costs < MEASURED_ACCEPTS or self._begun_accepts % MEASURED_PART == 0

    def observe_accept(self, cpu_seconds: float) -> None:
        """Count what one connection has cost, from its first byte to its open session."""
        self.accept_costs += 1
        self.accept_cost_total += cpu_seconds
