"""Where Redis is, as a URL says it."""

from __future__ import annotations

import pytest
from redis.asyncio.connection import SSLConnection, UnixDomainSocketConnection

from realtime_server.backplane.redis_target import Mode, endpoint_of


def test_one_redis_by_its_address() -> None:
    """With login and database."""
    found = endpoint_of("redis://app:secret@redis.example:6380/2")
    assert (found.mode, found.addresses) == (Mode.STANDALONE, (("redis.example", 6380),))
    assert dict(found.options) == {"username": "app", "password": "secret", "db": 2}
    assert endpoint_of("redis://redis.example").addresses == (("redis.example", 6379),)
    assert endpoint_of("rediss://[::1]:6380").options["connection_class"] is SSLConnection


def test_one_redis_by_a_socket_of_this_machine() -> None:
    """It has no address."""
    found = endpoint_of("unix://:secret@/run/redis.sock?db=1")
    assert found.mode is Mode.STANDALONE
    assert len(found.addresses) == 1
    assert dict(found.options) == {
        "connection_class": UnixDomainSocketConnection, "path": "/run/redis.sock", "password": "secret", "db": 1,
    }  # fmt: skip


def test_sentinels() -> None:
    """Several addresses, the primary's name, and a login for them alone."""
    found = endpoint_of("redis+sentinel://:secret@a,b:26380/main/3?sentinel_password=other")
    assert (found.mode, found.primary_name) == (Mode.SENTINEL, "main")
    assert found.addresses == (("a", 26379), ("b", 26380))
    assert dict(found.options) == {"password": "secret", "db": 3}
    assert dict(found.sentinel_options) == {"password": "other"}


def test_a_cluster() -> None:
    """Some of its nodes, and in how many parts its names fall."""
    found = endpoint_of("redis+cluster://a:7000,b:7001?partitions=16")
    assert (found.mode, found.addresses, found.partitions) == (Mode.CLUSTER, (("a", 7000), ("b", 7001)), 16)


@pytest.mark.parametrize(
    "url",
    ["", "http://redis", "redis://", "redis+sentinel://a", "redis+ring://a", "redis+cluster://a/1",
     "redis+cluster://a?partitions=0", "redis://a:port"],
)  # fmt: skip
def test_what_is_no_url_of_redis(url: str) -> None:
    """An error at once, not a server that waits."""
    with pytest.raises(ValueError, match=r"."):
        endpoint_of(url)
