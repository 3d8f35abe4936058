"""Location of Redis and credentials, from the settings or a URL."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias, cast
from urllib.parse import SplitResult, parse_qs, urlsplit

from redis.asyncio.connection import Connection, SSLConnection, parse_url

from realtime_server import settings
from realtime_server.backplane.redis_link import RedisConnection, Timing
from realtime_server.core.model.errors import BackplaneError
from realtime_server.settings import SecretFile

CLUSTER_PARTITIONS = 64
"""Partitions of the names in a Redis Cluster, unless the URL or the settings set their number."""
MAX_PARTITIONS = 1024
REDIS_PORT = 6379
SENTINEL_PORT = 26_379
FROM_URL = frozenset({"connection_class", "db", "username", "password", "path"})
"""Parts of a URL that are used besides the addresses, in addition to options that begin with ssl_."""

Address: TypeAlias = tuple[str, int]
"""Host and port."""
Options: TypeAlias = Mapping[str, object]
"""Arguments of redis.asyncio.Connection."""


class Mode(StrEnum):
    """Deployment mode of Redis."""

    STANDALONE = "standalone"
    SENTINEL = "sentinel"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Location of Redis and the options to connect.

    `addresses` are those of Redis, of the sentinels, or of some nodes of the cluster; empty for a Redis on a Unix
    socket. `primary_name` is the sentinels' name for the primary. `partitions` is the number of partitions of the
    names, see redis_keys.
    """

    mode: Mode
    addresses: tuple[Address, ...]
    options: Options = field(default_factory=dict, repr=False)
    sentinel_options: Options = field(default_factory=dict, repr=False)
    primary_name: str = ""
    partitions: int = 1

    def connection(self, address: Address | None, timing: Timing) -> RedisConnection:
        """Return a connection to a Redis, not connected yet; `address` is None only for a Unix socket."""
        return _connection(self.options, address, timing)

    def sentinel_connection(self, address: Address, timing: Timing) -> RedisConnection:
        """Return a connection to a sentinel, not connected yet."""
        return _connection(self.sentinel_options, address, timing)


def _connection(options: Options, address: Address | None, timing: Timing) -> RedisConnection:
    arguments = dict(options)
    kind = arguments.pop("connection_class", Connection)
    assert callable(kind)
    if address is not None:
        arguments["host"], arguments["port"] = address
    # RESP2: replies and messages share one format on both kinds of link. No timeout of its own: the link has one.
    made = kind(**arguments, protocol=2, socket_connect_timeout=timing.connect, socket_timeout=None)
    return cast(RedisConnection, made)


class EndpointReader:
    """Reader of the settings' files at each call, so that the next connection uses a changed password or URL."""

    def __init__(self, redis: settings.Redis) -> None:
        self._redis = redis
        self._url = SecretFile(redis.url_file)
        self._password = SecretFile(redis.password_file)
        self._sentinel_password = SecretFile(redis.sentinel.password_file if redis.sentinel is not None else None)

    def read(self) -> Endpoint:
        """Return the current endpoint. Raises BackplaneError when it cannot be read; the message contains no secret."""
        try:
            return self._from_url() if self._redis.url_file is not None else self._from_fields()
        except ValueError as error:  # its text may contain the URL, and that the password
            raise BackplaneError("the URL of Redis is not one") from error

    def _from_url(self) -> Endpoint:
        url = self._url.read()
        if not url:
            raise BackplaneError("the file with the URL of Redis is not there or empty")
        return endpoint_of(url, self._tls())

    def _from_fields(self) -> Endpoint:
        redis = self._redis
        options = self._tls(always=redis.tls)
        login = {"username": redis.username, "password": self._password.read() or None, "db": redis.database or None}
        options_and_login = options | {name: value for name, value in login.items() if value is not None}
        if redis.sentinel is not None:
            sentinel = redis.sentinel
            asked = {"username": sentinel.username, "password": self._sentinel_password.read() or None}
            return Endpoint(
                Mode.SENTINEL,
                tuple(_address(text, SENTINEL_PORT) for text in sentinel.addresses),
                options_and_login,
                options | {name: value for name, value in asked.items() if value is not None},
                primary_name=sentinel.master_name,
            )
        if redis.cluster is not None:
            addresses = tuple(_address(text, REDIS_PORT) for text in redis.cluster.addresses)
            return Endpoint(Mode.CLUSTER, addresses, options_and_login, partitions=redis.cluster.partitions)
        assert redis.address is not None
        return Endpoint(Mode.STANDALONE, (_address(redis.address, REDIS_PORT),), options_and_login)

    def _tls(self, *, always: bool = False) -> dict[str, object]:
        redis = self._redis
        files = {"ca_certs": redis.ca_file, "certfile": redis.certificate_file, "keyfile": redis.key_file}
        options = {f"ssl_{name}": str(file) for name, file in files.items() if file is not None}
        return {"connection_class": SSLConnection, **options} if options or always else {}


def endpoint_of(url: str, tls: Options | None = None) -> Endpoint:
    """Parse a URL. Raises ValueError, whose text may contain the password.

    - `redis://USER:PASSWORD@HOST:PORT/DATABASE`, `unix://...`: one Redis
    - `redis+sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT/PRIMARY/DATABASE?sentinel_password=...&sentinel_username=...`
    - `redis+cluster://USER:PASSWORD@HOST:PORT,HOST:PORT?partitions=64`: some of the cluster's nodes

    `rediss` instead of `redis` is TLS, for which `tls` may have options; so may the query (`ssl_ca_certs` and others).
    """
    parts = _split(url)
    scheme, _, kind = parts.scheme.partition("+")
    mode = Mode(kind or "standalone")
    login, at, hosts = parts.netloc.rpartition("@")
    query = parse_qs(parts.query)
    path, primary_name = parts.path, ""
    if mode is Mode.SENTINEL:
        primary_name, _, path = path.lstrip("/").partition("/")
        if not primary_name:
            raise ValueError("no name of the primary")
    parsed: dict[str, object] = dict(
        parse_url(f"{scheme}://{login}{at}{'' if scheme == 'unix' else 'host'}/{path.lstrip('/')}?{parts.query}")
    )
    options = {name: value for name, value in parsed.items() if name in FROM_URL or name.startswith("ssl_")}
    secure = options.get("connection_class") is SSLConnection
    if secure and tls:
        options = {**tls, **options}
    if mode is Mode.CLUSTER and options.pop("db", 0) != 0:
        raise ValueError("a cluster has one database, 0")
    default_port = SENTINEL_PORT if mode is Mode.SENTINEL else REDIS_PORT
    addresses = () if "path" in options else tuple(_address(text, default_port) for text in hosts.split(","))
    asked = {name: query[f"sentinel_{name}"][0] for name in ("username", "password") if f"sentinel_{name}" in query}
    sentinel_options = {
        name: value for name, value in options.items() if name.startswith("ssl_") or name == "connection_class"
    }
    return Endpoint(
        mode,
        addresses,
        options,
        {**sentinel_options, **asked},
        primary_name,
        _partitions(query) if mode is Mode.CLUSTER else 1,
    )


def _split(url: str) -> SplitResult:
    """Split a URL as RFC 3986 does; urlsplit of recent Pythons refuses a list of hosts with an IPv6 address."""
    scheme, separator, rest = url.partition("://")
    if not separator:
        raise ValueError("no scheme")
    hierarchy, _, fragment = rest.partition("#")
    hierarchy, _, query = hierarchy.partition("?")
    netloc, slash, path = hierarchy.partition("/")
    return SplitResult(scheme.lower(), netloc, slash + path, query, fragment)


def _partitions(query: Mapping[str, list[str]]) -> int:
    number = int(query.get("partitions", [str(CLUSTER_PARTITIONS)])[0])
    if not 1 <= number <= MAX_PARTITIONS:
        raise ValueError("partitions out of range")
    return number


def _address(text: str, default_port: int) -> Address:
    """Parse HOST:PORT, [IPV6]:PORT or HOST."""
    parts = urlsplit(f"//{text}")
    if parts.hostname is None:
        raise ValueError("no host")
    return parts.hostname, default_port if parts.port is None else parts.port
