"""Use of a Redis in relation to its limits, from its INFO, and the metrics of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from realtime_server.core.ports.backplane import StoreState

PREFIX = "realtime_server_redis_"
NO_EVICTION = "noeviction"


@dataclass(frozen=True, slots=True)
class RedisUsage:
    """Use of one primary. A limit of 0 means that there is none, or that this Redis does not report it."""

    memory: StoreState = field(default_factory=StoreState)
    clients: int = 0
    clients_limit: int = 0


def usage_of(*sections: bytes) -> RedisUsage:
    """Return the use from the sections `memory` and `clients` of INFO; fields that are missing count as 0."""
    lines = b"\n".join(sections).decode(errors="replace").splitlines()
    fields = dict(line.split(":", 1) for line in lines if ":" in line)

    def number(name: str) -> int:
        text = fields.get(name, "").strip()
        return int(text) if text.isascii() and text.isdigit() else 0

    limit = number("maxmemory")
    evicts = limit > 0 and fields.get("maxmemory_policy", NO_EVICTION).strip() != NO_EVICTION
    memory = StoreState(number("used_memory"), limit, evicts)
    return RedisUsage(memory, number("connected_clients"), number("maxclients"))


class UsageCollector(Collector):
    """Collector of the use of each primary, by the name of the worker's links to it; nothing where there is none."""

    def __init__(self, usage: Callable[[], Mapping[str, RedisUsage]], worker: int) -> None:
        self._usage = usage
        self._worker = str(worker)

    def collect(self) -> Iterator[Metric]:
        """Yield the values that were read last. A limit that does not exist has no sample."""
        usage = self._usage()
        yield self._family("memory_bytes", "Memory that Redis uses.", usage, lambda u: u.memory.used_bytes)
        yield self._family("clients", "Connections to Redis, of all its clients.", usage, lambda u: u.clients)
        limits: dict[str, tuple[str, Callable[[RedisUsage], int]]] = {
            "memory_limit_bytes": ("Memory that Redis may use (maxmemory).", lambda u: u.memory.limit_bytes),
            "clients_limit": ("Connections that Redis accepts (maxclients).", lambda u: u.clients_limit),
        }
        for name, (text, read) in limits.items():
            yield self._family(name, text, {key: value for key, value in usage.items() if read(value)}, read)

    def _family(
        self, name: str, text: str, usage: Mapping[str, RedisUsage], read: Callable[[RedisUsage], int]
    ) -> Metric:
        family = GaugeMetricFamily(PREFIX + name, text, labels=["worker", "primary"])
        for primary, value in usage.items():
            family.add_metric([self._worker, primary], read(value))
        return family
