"""The server's configuration: one JSON file, read once at the start, validated whole, never changed after.

Durations are in seconds, sizes in bytes. Secrets are never in it: it names the files that they are in.
"""

from __future__ import annotations

import itertools
import json
import os
import socket
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from realtime_server.api_settings import ApiKey
from realtime_server.client_headers import RESERVED
from realtime_server.core.model.namespaces import DEFAULT
from realtime_server.message_broker_settings import Consumer, MessageBroker, check_consumers
from realtime_server.namespace_settings import Namespace
from realtime_server.protocol_settings import Protocols
from realtime_server.route_settings import check_routes
from realtime_server.tracing_settings import Tracing

ENV_CONFIG = "REALTIME_CONFIG"
ENV_SERVER_NAME = "REALTIME_SERVER_NAME"
ENV_REVISION = "REALTIME_REVISION"

ANY_ADDRESS = "::"
"""Host of a listener that is reached by every address of the machine, of IPv6 and IPv4."""
Host = Annotated[str, Field(min_length=1, pattern=r"^[^\s\[\]/]+$")]
"""An IP address, of IPv6 without brackets, or a name of this machine."""
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86400 * 30)]
HostAndPort = Annotated[str, Field(pattern=r"^(\[[0-9a-fA-F:.]+\]|[^\s:/@\[\]]+):[0-9]{1,5}$")]
"""HOST:PORT or [IPV6]:PORT."""


class SettingsError(Exception):
    """The configuration cannot be used; one line of the message for each problem: where, what, what would be right."""


class Model(BaseModel):
    """Base of the settings: frozen, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Network = IPv4Network | IPv6Network


class Tls(Model):
    """Certificate (with its chain) and key of the client port, in PEM; read again when they change."""

    certificate_file: Path
    key_file: Path
    min_version: Literal["1.2", "1.3"] = "1.2"


class ApiTls(Tls):
    """Certificate and key of the API port.

    With `client_ca_file` (certificates in PEM) backends must present a certificate of one of these authorities.
    """

    client_ca_file: Path | None = None


class Listen(Model):
    """Where the server listens, and how long a client may take to become a connection.

    With `proxy_protocol` the proxies in `trusted_proxies` say with the PROXY protocol whose connection it is; their
    `forwarded_header` says whose request. Nobody else is believed, and the other header is not looked at.
    `host` is for the three ports, `client_host`, `api_host` and `admin_host` for one of them. `::` is every address of
    the machine, of IPv6 and IPv4, or of the one that it has; `0.0.0.0` is every address of IPv4.
    `admin_socket` is the path of a Unix socket for the admin API, instead of `admin_port`. With `shared` several
    servers of one machine have the same client and API port, and one that does not serve leaves them to the others.
    """

    host: Host = ANY_ADDRESS
    client_host: Host | None = None
    api_host: Host | None = None
    admin_host: Host | None = None
    client_port: Port = 8000
    api_port: Port = 8001
    admin_port: Port = 8002
    admin_socket: Path | None = None
    shared: bool = False
    handshake_seconds: Seconds = 10
    tls: Tls | None = None
    proxy_protocol: bool = False
    trusted_proxies: tuple[Network, ...] = ()
    forwarded_header: Literal["X-Forwarded-For", "Forwarded"] = "X-Forwarded-For"

    @model_validator(mode="after")
    def _proxies_are_known(self) -> Self:
        if self.proxy_protocol and not self.trusted_proxies:
            raise ValueError(
                "proxy_protocol needs trusted_proxies: set it to the networks of the proxies that send the header"
            )
        return self

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        ports = {"client_port": self.client_port, "api_port": self.api_port}
        if self.admin_socket is None:
            ports["admin_port"] = self.admin_port
        for (one, port), (other, its) in itertools.combinations(ports.items(), 2):
            if port == its:
                raise ValueError(
                    f"{one} and {other} are both {port}, and a request could reach either: set different ports"
                )
        return self

    @property
    def client_address(self) -> tuple[str, int]:
        """Host and port for clients."""
        return self.client_host or self.host, self.client_port

    @property
    def api_address(self) -> tuple[str, int]:
        """Host and port of the server API."""
        return self.api_host or self.host, self.api_port

    @property
    def admin_address(self) -> tuple[str, int]:
        """Host and port of the admin API, where it has no socket."""
        return self.admin_host or self.host, self.admin_port


class Heartbeat(Model):
    """Pings to clients."""

    interval_seconds: Seconds = 25
    timeout_seconds: Seconds = 8


class Compression(Model):
    """Compression of WebSocket messages of at least `threshold_bytes`, for clients that offer it (RFC 7692)."""

    enabled: bool = False
    threshold_bytes: Annotated[int, Field(ge=0)] = 1024


class Limits(Model):
    """What is accepted. 0 connects per second or connections per user: no limit.

    The first three count for the whole server, the fourth for one worker, the rest for one connection. `handshakes`:
    sockets of clients that are no connection, because they are still in the handshake or do an HTTP request.
    """

    connections: Annotated[int, Field(ge=1)] = 10_000
    handshakes: Annotated[int, Field(ge=1)] = 10_000
    connects_per_second: Annotated[float, Field(ge=0)] = 0
    connections_per_user: Annotated[int, Field(ge=0)] = 0
    channels_per_connection: Annotated[int, Field(ge=1, le=32_768)] = 128
    message_bytes: Annotated[int, Field(ge=128)] = 65_536
    messages_per_second: Annotated[int, Field(ge=1)] = 100
    outbox_bytes: Annotated[int, Field(ge=1024)] = 1_048_576

    @model_validator(mode="after")
    def _a_message_can_be_delivered(self) -> Self:
        if self.outbox_bytes < 2 * self.message_bytes:
            raise ValueError(
                f"outbox_bytes must be at least twice message_bytes, {2 * self.message_bytes}:"
                " a client may publish message_bytes, and a publication takes at most half of a subscriber's outbox"
            )
        return self


class TokenKeyFile(Model):
    """A file with a secret (HS*) or a public key in PEM (RS*, ES*, EdDSA), and the algorithm that it is for."""

    algorithm: Literal[
        "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"
    ]  # fmt: skip
    file: Path


class JsonWebKeys(Model):
    """Where an identity provider publishes its public keys (RFC 7517), and how often they are read.

    While they cannot be read the former ones are used for `max_age_seconds`. Clients may wait for `timeout_seconds`:
    it is less than the time that they have to connect. `ca_file`: certificates in PEM that are trusted instead of the
    usual ones.
    """

    url: Annotated[str, Field(pattern="^https?://[^/]+")]
    refresh_seconds: Annotated[float, Field(ge=5, le=86_400)] = 300
    max_age_seconds: Seconds = 86_400
    timeout_seconds: Annotated[float, Field(gt=0, le=8)] = 5
    ca_file: Path | None = None

    @model_validator(mode="after")
    def _used_until_read_again(self) -> Self:
        if self.max_age_seconds < self.refresh_seconds:
            raise ValueError(
                "max_age_seconds must be at least refresh_seconds: otherwise keys expire before they are read again"
            )
        return self


class Auth(Model):
    """Who may connect.

    All keys are tried: those of `token_keys`, and those at `jwks`. Tokens have one of the audiences, if there are any.
    Subscription tokens have the same, unless there are `subscription_token_keys`.
    """

    anonymous: bool = False
    token_keys: tuple[TokenKeyFile, ...] = ()
    subscription_token_keys: tuple[TokenKeyFile, ...] = ()
    jwks: JsonWebKeys | None = None
    issuer: str | None = None
    audience: str | tuple[str, ...] | None = None
    leeway_seconds: Annotated[float, Field(ge=0, le=300)] = 5
    revocation_seconds: Annotated[float, Field(ge=60, le=2_592_000)] = 2_592_000


class HookEndpoint(Model):
    """An address of the user's backend. `concurrency`: calls of one worker that run at the same time."""

    url: Annotated[str, Field(pattern="^https?://[^/]+")]
    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 1
    concurrency: Annotated[int, Field(ge=1, le=10_000)] = 100


class RequestHook(HookEndpoint):
    """A question to the backend; `when_down`: what becomes of the command while it does not answer.

    `namespaces`: only for channels of these; empty: all.
    """

    when_down: Literal["deny", "allow"] = "deny"
    namespaces: tuple[str, ...] = ()


class EventHook(HookEndpoint):
    """Where events are told, and which. `queue_size`: events that wait in the whole cluster; then the oldest go."""

    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5
    disconnects: bool = True
    channels: bool = False
    queue_size: Annotated[int, Field(ge=100, le=10_000_000)] = 100_000


class Hooks(Model):
    """What the backend is asked and told. Headers of clients that it is to see are named in lower case."""

    connect: RequestHook | None = None
    refresh: RequestHook | None = None
    subscribe: RequestHook | None = None
    publish: RequestHook | None = None
    sub_refresh: RequestHook | None = None
    rpc: RequestHook | None = None
    events: EventHook | None = None
    forward_headers: tuple[Annotated[str, Field(pattern="^[a-z0-9-]+$")], ...] = ()
    secret_file: Path | None = None
    ca_file: Path | None = None

    def of(self, name: str) -> RequestHook | None:
        """The hook of this name."""
        found = getattr(self, name)
        assert found is None or isinstance(found, RequestHook)
        return found

    @model_validator(mode="after")
    def _namespaces_where_there_are_channels(self) -> Self:
        for name in ("connect", "refresh", "rpc"):
            hook = self.of(name)
            if hook is not None and hook.namespaces:
                raise ValueError(
                    f"{name}.namespaces: only hooks about a channel can be limited to namespaces, remove it"
                )
        if self.rpc is not None and self.rpc.when_down == "allow":
            raise ValueError("rpc.when_down: must be deny, because only the backend can answer a call")
        return self

    @field_validator("forward_headers")
    @classmethod
    def _headers_that_may_be_passed_on(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        for name in names:
            if name in RESERVED:
                raise ValueError(
                    f"{name} applies to a single request or is set by the server, and is never forwarded: remove it"
                )
        return names


class Api(Model):
    """The HTTP server API; without a key every call is refused. The key in `key_file` may do everything.

    `on_client_port`: calls are taken on the port for clients too, with the same keys. `tls` is for the API's own port.
    """

    key_file: Path | None = None
    keys: tuple[ApiKey, ...] = ()
    on_client_port: bool = False
    tls: ApiTls | None = None


class Admin(Model):
    """The admin API; without a token file every call is refused."""

    token_file: Path | None = None


class RedisSentinel(Model):
    """The sentinels that know the primary, and what they call it.

    `username` and `password_file` are for the sentinels.
    """

    addresses: Annotated[tuple[HostAndPort, ...], Field(min_length=1)]
    master_name: Annotated[str, Field(min_length=1)]
    username: str | None = None
    password_file: Path | None = None


class RedisCluster(Model):
    """Some nodes of a Redis Cluster, which know the others.

    `partitions`: into how many groups of keys the channels are divided; all servers must have the same number.
    """

    addresses: Annotated[tuple[HostAndPort, ...], Field(min_length=1)]
    partitions: Annotated[int, Field(ge=1, le=1024)] = 64


class Redis(Model):
    """Where Redis is: a file with its URL, or its address, its sentinels or its cluster, and files with secrets.

    `username`, `password_file`, `database` and `tls` go with the latter three; they are part of a URL. `ca_file` has
    the certificates that a server's is checked against, instead of the system's; `certificate_file` and `key_file` are
    this server's own, for a Redis that asks for one. Each of them makes every connection one with TLS, unless the URL
    says otherwise. All files are read again for every connection.
    """

    url_file: Path | None = None
    address: HostAndPort | None = None
    sentinel: RedisSentinel | None = None
    cluster: RedisCluster | None = None
    username: str | None = None
    password_file: Path | None = None
    database: Annotated[int, Field(ge=0, le=65_535)] = 0
    tls: bool = False
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        places = {
            "url_file": self.url_file,
            "address": self.address,
            "sentinel": self.sentinel,
            "cluster": self.cluster,
        }
        if sum(place is not None for place in places.values()) != 1:
            raise ValueError(f"set one of {', '.join(places)}")
        beside = [name for name in ("username", "password_file", "database", "tls") if getattr(self, name)]
        if self.url_file is not None and beside:
            raise ValueError(f"{beside[0]} is part of the URL in url_file")
        if self.cluster is not None and self.database:
            raise ValueError("database must be 0: a Redis Cluster has no other")
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("set certificate_file and key_file together")
        return self


class Backplane(Model):
    """The link between servers; without Redis it reaches only this process.

    `prefix` begins the names of all keys; braces would end the part that keeps those of a channel together.
    """

    redis: Redis | None = None
    prefix: Annotated[str, Field(pattern=r"^[^{}\s]+$")] = "realtime"


class Drain(Model):
    """How this server empties itself when it is stopped."""

    connections_per_second: Annotated[float, Field(gt=0)] = 50
    timeout_seconds: Seconds = 600
    settle_seconds: Annotated[float, Field(ge=0)] = 5


class Settings(Model):
    """Everything."""

    workers: Annotated[int, Field(ge=1, le=64)] = 1
    development: bool = False
    listen: Listen = Listen()
    heartbeat: Heartbeat = Heartbeat()
    compression: Compression = Compression()
    protocols: Protocols = Protocols()
    limits: Limits = Limits()
    origins: tuple[str, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    auth: Auth = Auth()
    hooks: Hooks = Hooks()
    api: Api = Api()
    admin: Admin = Admin()
    backplane: Backplane = Backplane()
    brokers: Annotated[tuple[MessageBroker, ...], Field(max_length=16)] = ()
    consumers: Annotated[tuple[Consumer, ...], Field(max_length=64)] = ()
    drain: Drain = Drain()
    tracing: Tracing | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [namespace.name for namespace in self.namespaces]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"namespaces: {twice[0]} is defined twice")
        self.protocols.socket_io.require_channel_namespaces(names)
        if self.heartbeat.timeout_seconds >= self.heartbeat.interval_seconds:
            raise ValueError("heartbeat.timeout_seconds must be less than heartbeat.interval_seconds")
        known = frozenset({DEFAULT, *names})
        check_routes(self.protocols.web_socket, known, origins=bool(self.origins))
        check_consumers(self.brokers, self.consumers, known)
        if self.workers > 1 and self.backplane.redis is None:
            raise ValueError("workers: more than one worker needs backplane.redis, which connects them")
        return self

    @classmethod
    def load(cls, path: Path | None) -> Settings:
        """Read a file (None: the defaults); raises SettingsError."""
        if path is None:
            return cls()
        try:
            document = json.loads(path.read_text())
        except OSError as error:
            raise SettingsError(f"{path}: cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise SettingsError(f"{path}: is not JSON: {error}") from error
        try:
            return cls.model_validate_json(json.dumps(document))
        except ValidationError as error:
            lines = [_line(".".join(map(str, e["loc"])) or "(top level)", e["msg"]) for e in error.errors()]
            raise SettingsError("\n".join(f"{path}: {line}" for line in lines)) from error


def _line(location: str, message: str) -> str:
    if message.startswith("Extra inputs"):
        message = "is not a known field; print-defaults lists them"
    return f"{location}: {message.removeprefix('Value error, ')}"


def server_name() -> str:
    """Name of this server: REALTIME_SERVER_NAME, or the host's name."""
    return os.environ.get(ENV_SERVER_NAME) or socket.gethostname()


def revision() -> str:
    """The revision that this server runs, empty when nobody said."""
    return os.environ.get(ENV_REVISION, "")


class SecretFile:
    """A secret in a file, read again when the file changes; empty while it cannot be read, or is no text (UTF-8)."""

    __slots__ = ("_path", "_seen", "_value")

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._value = ""

    def read(self) -> str:
        """The secret as it is now, without surrounding white space."""
        if self._path is None:
            return ""
        try:
            stat = self._path.stat()
            seen = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if seen != self._seen:
                self._value = self._path.read_text().strip()
                self._seen = seen
        except UnicodeDecodeError:
            self._value, self._seen = "", seen
        except OSError:
            self._value, self._seen = "", None
        return self._value
