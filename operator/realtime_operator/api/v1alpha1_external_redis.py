"""Models of a Redis that runs elsewhere: its addresses, login and TLS."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from realtime_operator.api.base import Check, Model, rule
from realtime_operator.api.fields import Text
from realtime_operator.api.lists import SET
from realtime_operator.api.v1alpha1_server import SecretValue

LOGIN = "!has(self.username) || has(self.password)"
LOGIN_MESSAGE = "username needs password: an ACL user logs in with both (any password does for a user with nopass)"

_PORT = "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
_HOST_AND_PORT = rf"^(\[[0-9a-fA-F:.]+\]|[^ :/@\[\]]+):{_PORT}$"
_CEL_HOST_AND_PORT = _HOST_AND_PORT.replace("\\", "\\\\")

HostAndPort = Annotated[
    str,
    Field(max_length=262),
    Check(
        f"self.matches('{_CEL_HOST_AND_PORT}')",
        "must be host and port like redis.example.com:6379 or [2001:db8::1]:6379",
        lambda text: re.fullmatch(_HOST_AND_PORT, text) is not None,
    ),
]
Addresses = Annotated[tuple[HostAndPort, ...], Field(min_length=1, max_length=16), SET]


class RedisSentinel(Model):
    """Sentinels that know the primary of a Redis with replicas."""

    master_name: Annotated[str, Field(min_length=1, max_length=253)]
    """Name of the primary in the configuration of the sentinels, like `mymaster`."""
    addresses: Addresses
    """Addresses of the sentinels, like `sentinel-0.example.com:26379`."""
    username: Text | None = None
    """ACL user at the sentinels, if they have a login of their own. Defaults to `default`."""
    password: SecretValue | None = None
    """Password at the sentinels. None when absent."""

    @rule(LOGIN, LOGIN_MESSAGE, field="username")
    def _login_is_complete(self) -> bool:
        return self.username is None or self.password is not None


class RedisCluster(Model):
    """Redis Cluster of version 7 or later."""

    addresses: Addresses
    """Addresses of some of the nodes, which know the others, like `node-0.example.com:6379`."""
    partitions: Annotated[int, Field(ge=1, le=1024)] = 64
    """Number of groups of keys into which channels are divided; many more than primaries. A change starts with empty
    histories."""


class RedisTls(Model):
    """TLS to Redis and to the sentinels. Files that change in their Secrets are used for the next connections."""

    ca: SecretValue | None = None
    """Certificates in PEM of a private authority that Redis is verified against. Defaults to those of the image."""
    certificate: SecretValue | None = None
    """Certificate in PEM with which servers authenticate, with its chain, for a Redis that asks clients for one."""
    key: SecretValue | None = None
    """Private key in PEM of `certificate`."""

    @rule(
        "has(self.certificate) == has(self.key)",
        "certificate and key belong together: set both, or none",
        field="key",
    )
    def _certificate_has_its_key(self) -> bool:
        return (self.certificate is None) == (self.key is None)


class ExternalRedis(Model):
    """Redis or Valkey that runs elsewhere. Set exactly one of `url`, `address`, `sentinel` and `cluster`."""

    url: SecretValue | None = None
    """URL of the Redis, like `redis://:PASSWORD@host:6379/0`, or `rediss://` for TLS. It contains the login."""
    address: HostAndPort | None = None
    """Address of a single Redis, or of a service that behaves like one."""
    sentinel: RedisSentinel | None = None
    """Sentinels that know the primary."""
    cluster: RedisCluster | None = None
    """Redis Cluster."""
    username: Text | None = None
    """ACL user. Defaults to `default`."""
    password: SecretValue | None = None
    """Password. A changed value in its Secret is used for the next connections, without a restart. None when absent."""
    database: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Number of the database."""
    tls: RedisTls | None = None
    """TLS. Without it connections are not encrypted, unless `url` begins with `rediss`."""

    @rule(
        "[has(self.url), has(self.address), has(self.sentinel), has(self.cluster)].filter(one, one).size() == 1",
        "set exactly one of url, address, sentinel and cluster: it is where Redis is",
    )
    def _is_one_place(self) -> bool:
        places = (self.url, self.address, self.sentinel, self.cluster)
        return sum(place is not None for place in places) == 1

    @rule(
        "!has(self.url) || (!has(self.username) && !has(self.password) && (!has(self.database) || self.database == 0))",
        "username, password and database are part of url: write them there, or use address instead of url",
        field="url",
    )
    def _login_is_said_once(self) -> bool:
        return self.url is None or (self.username is None and self.password is None and self.database == 0)

    @rule(f"has(self.url) || {LOGIN}", LOGIN_MESSAGE, field="username")
    def _login_is_complete(self) -> bool:
        return self.url is not None or self.username is None or self.password is not None

    @rule(
        "!has(self.cluster) || !has(self.database) || self.database == 0",
        "database must be 0 with cluster: a Redis Cluster has no other",
        field="database",
    )
    def _cluster_has_one_database(self) -> bool:
        return self.cluster is None or self.database == 0
