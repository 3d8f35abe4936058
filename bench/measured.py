"""What one scenario did to one server in one round."""

from __future__ import annotations

from msgspec import Struct


class Latency(Struct, frozen=True):
    """Times from when a publication was to be sent to its arrival at a subscriber, in microseconds."""

    p50: float
    p99: float
    highest: float
    count: int


class Measured(Struct, frozen=True, omit_defaults=True):
    """Times in seconds, of the measured span only; `memory` in bytes, by which the server grew."""

    count: int
    published: int = 0
    wall: float = 0.0
    server_cpu: float = 0.0
    load_cpu: float = 0.0
    latency: Latency | None = None
    memory: int = 0

    @property
    def per_cpu_second(self) -> float:
        """How much the server did in one second of its CPU time."""
        return self.count / self.server_cpu

    @property
    def per_second(self) -> float:
        """How much was done in one second."""
        return self.count / self.wall

    @property
    def cpu_microseconds(self) -> float:
        """CPU time of the server for each of what is counted."""
        return self.server_cpu / self.count * 1e6

    @property
    def load_share(self) -> float:
        """The part of the time in which the load generator was busy."""
        return self.load_cpu / self.wall

    @property
    def server_share(self) -> float:
        """The part of the time in which the server was busy."""
        return self.server_cpu / self.wall

    @property
    def bytes_per_connection(self) -> float:
        """By how much the server grew for each connection."""
        return self.memory / self.count
