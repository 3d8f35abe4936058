"""Use of a Redis, from its INFO to the metrics."""

from __future__ import annotations

import pytest
from prometheus_client.registry import CollectorRegistry

from realtime_server.backplane.redis_usage import RedisUsage, UsageCollector, usage_of
from realtime_server.core.ports.backplane import StoreState

MEMORY = b"# Memory\r\nused_memory:1048576\r\nused_memory_human:1.00M\r\nmaxmemory:161061273\r\n"
CLIENTS = b"# Clients\r\nconnected_clients:7\r\nmaxclients:10000\r\n"


def test_the_fields_of_info() -> None:
    """Sections are texts with one field per line."""
    assert usage_of(MEMORY, CLIENTS) == RedisUsage(StoreState(1048576, 161061273), 7, 10000)


def test_what_a_redis_does_not_report_is_zero() -> None:
    """A proxy or an older release may leave fields out, or say something else there."""
    assert usage_of(b"used_memory:many\r\n", b"connected_clients:3\r\n") == RedisUsage(clients=3)


def test_a_limit_that_does_not_exist_has_no_sample() -> None:
    """A ratio to it would be one to zero."""
    registry = CollectorRegistry()
    registry.register(UsageCollector(lambda: {"redis": RedisUsage(StoreState(100), 7, 10)}, 3))
    labels = {"worker": "3", "primary": "redis"}
    found = {
        name: registry.get_sample_value(f"realtime_server_redis_{name}", labels)
        for name in ("memory_bytes", "memory_limit_bytes", "clients", "clients_limit")
    }
    assert found == {"memory_bytes": 100, "memory_limit_bytes": None, "clients": 7, "clients_limit": 10}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (b"maxmemory:10\r\nmaxmemory_policy:noeviction", False),
        (b"maxmemory:10\r\nmaxmemory_policy:allkeys-lru", True),
        (b"maxmemory:0\r\nmaxmemory_policy:volatile-ttl", False),
        (b"maxmemory:10", False),
    ],
)
def test_a_policy_matters_where_there_is_a_limit(fields: bytes, *, expected: bool) -> None:
    """Services that hide fields count as without eviction."""
    assert usage_of(fields).memory.evicts is expected
