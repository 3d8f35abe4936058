"""Measurement of one scenario with one server in one round."""

from __future__ import annotations

from msgspec import Struct


class Latency(Struct, frozen=True):
    """Times from the scheduled publication to its delivery, in microseconds."""

    p50: float
    p99: float
    highest: float
    count: int


class Measured(Struct, frozen=True, omit_defaults=True):
    """Result of a measured span. Times in seconds; `memory` is the growth of the server in bytes."""

    count: int
    published: int = 0
    wall: float = 0.0
    server_cpu: float = 0.0
    load_cpu: float = 0.0
    latency: Latency | None = None
    memory: int = 0

    @property
    def per_cpu_second(self) -> float:
        """Units of work per second of the server's CPU time."""
        return self.count / self.server_cpu

    @property
    def per_second(self) -> float:
        """Units of work per second."""
        return self.count / self.wall

    @property
    def cpu_microseconds(self) -> float:
        """The server's CPU time per unit of work, in microseconds."""
        return self.server_cpu / self.count * 1e6

    @property
    def load_share(self) -> float:
        """Part of the time in which the load generator was busy."""
        return self.load_cpu / self.wall

    @property
    def server_share(self) -> float:
        """Part of the time in which the server was busy."""
        return self.server_cpu / self.wall

    @property
    def bytes_per_connection(self) -> float:
        """Growth of the server's memory per connection, in bytes."""
        return self.memory / self.count
