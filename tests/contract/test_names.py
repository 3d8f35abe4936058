"""Agreement of operator and server, which do not import each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeClusterSpec
from realtime_operator.api.v1alpha1_hooks import RESERVED_HEADERS
from realtime_operator.api.v1alpha1_server import ApiMethod as SpecApiMethod
from realtime_operator.api.v1alpha1_server import Token
from realtime_operator.builders.configuration import namespaces, pruning, server_defaults
from realtime_operator.builders.configuration.config_map import full_config, server_config
from realtime_operator.builders.servers.replica_set import build_replica_set
from realtime_server import settings
from realtime_server.admin.api_handlers import METHODS
from realtime_server.api_settings import ApiKey, ApiMethod
from realtime_server.client_headers import RESERVED
from realtime_server.hooks.signature import HEADER
from realtime_server.message_broker_settings import (
    Consumer,
    DeadLetter,
    MessageBroker,
    QueuedCommands,
    QueueMapping,
    RabbitMq,
    Retries,
)
from realtime_server.namespace_settings import History, Namespace
from realtime_server.protocol_settings import SocketIoNamespace
from realtime_server.settings import (
    Compression,
    EventHook,
    JsonWebKeys,
    RequestHook,
    Settings,
    TokenKeyFile,
)
from realtime_server.tracing_settings import Tracing, TracingHeader
from tests.kit.document import object_at, objects_at, parse
from tests.kit.manifests import SETTINGS, cluster_of

REFERENCE: JsonObject = {"name": "own", "key": "the-key"}
EVERYTHING: JsonObject = {
    "server": {
        "workers": 64,
        "heartbeat": {"interval": "720h", "timeout": "1s"},
        "compression": {"algorithm": "Deflate", "threshold": "1Gi"},
        "limits": {
            "connections": 1,
            "channelsPerConnection": 1,
            "messageBytes": "1Ki",
            "messagesPerSecond": 1,
            "outboxBytes": "1Gi",
        },
        "origins": ["https://chat.example.com"],
    },
    "namespaces": [
        {"name": "default"},
        {
            "name": "A_b.c-1",
            "history": {"size": 1, "ttl": "1s"},
            "recovery": "Stream",
            "presence": True,
            "publish": "Anyone",
        },
        {"name": "n" * 63, "history": {"size": 100000, "ttl": "720h"}, "publish": "Subscribers"},
    ],
    "hooks": {
        "publish": {"url": "http://backend", "whenDown": "Allow", "namespaces": ["default"]},
        "events": {"url": "http://backend", "queueSize": 100},
        "signingKey": {"secretKeyRef": REFERENCE},
    },
    "auth": {
        "anonymous": "Allow",
        "tokens": [{"secretKeyRef": REFERENCE}],
        "subscriptionTokens": [{"secretKeyRef": REFERENCE}],
        "jwks": {
            "url": "https://id.example/keys",
            "refresh": "24h",
            "maxAge": "720h",
            "ca": {"secretKeyRef": REFERENCE},
        },
        "leeway": "5m",
        "revocationRetention": "1m",
        "issuer": "a",
        "audiences": ["b", "c"],
    },
    "api": {
        "key": {"secretKeyRef": REFERENCE},
        "keys": [
            {"name": "shop", "secretKeyRef": REFERENCE, "methods": ["Info"], "channels": ["a*"], "callsPerSecond": 9}
        ],
    },
    "backplane": {"redis": {"external": {"url": {"secretKeyRef": REFERENCE}}}},
    "brokers": [
        {
            "name": "main",
            "rabbitMQ": {
                "url": {"secretKeyRef": REFERENCE},
                "tls": {name: {"secretKeyRef": REFERENCE} for name in ("ca", "certificate", "key")},
            },
        }
    ],
    "consumers": [
        {
            "broker": "main",
            "queue": "orders",
            "prefetch": 10_000,
            "mapping": {"channel": "default:{routing_key.2}"},
            "deadLetter": {"exchange": "dead", "routingKey": "orders"},
            "retries": {"attempts": 20, "firstDelay": "1m", "maxDelay": "1m"},
        },
        {"broker": "main", "queue": "all", "mapping": {"commands": {"methods": ["Publish", "PresenceStats"]}}},
        {"broker": "main", "queue": "some", "mapping": {"channelsHeader": "channels"}},
    ],
    "rollout": {"drain": {"connectionsPerSecond": 1, "timeout": "720h", "settle": "1s"}},
    "tracing": {
        "endpoint": "https://collector:4318",
        "samplingRatePerMillion": 1_000_000,
        "maxTracesPerSecond": 100_000,
        "headers": [{"name": "Authorization", "secretKeyRef": REFERENCE}],
        "ca": {"secretKeyRef": REFERENCE},
    },
}


def settings_of(spec: JsonObject) -> Settings:
    """Return what a server reads from the operator's file."""
    return Settings.model_validate_json(json.dumps(server_config(cluster_of(spec))))


def test_ports_agree() -> None:
    """Port numbers and paths agree."""
    listen = Settings().listen
    assert (listen.client_port, listen.api_port, listen.admin_port) == (
        naming.PORT_CLIENT,
        naming.PORT_API,
        naming.PORT_ADMIN,
    )


def test_variables_agree() -> None:
    """Environment variables that the operator sets and the server reads agree."""
    (container,) = objects_at(build_replica_set(cluster_of(), SETTINGS, "b"), "spec", "template", "spec", "containers")
    names = {variable["name"] for variable in objects_at(container, "env")}
    assert names == {settings.ENV_CONFIG, settings.ENV_SERVER_NAME, settings.ENV_REVISION}


def test_an_empty_spec_is_the_servers_own_default() -> None:
    """Limits, heartbeat and drain have the same defaults in both documents."""
    own, default = settings_of({}), Settings()
    assert (own.workers, own.listen, own.heartbeat, own.compression, own.limits, own.drain) == (
        default.workers,
        default.listen,
        default.heartbeat,
        default.compression,
        default.limits,
        default.drain,
    )
    assert (own.origins, own.namespaces, own.auth.anonymous) == ((), (), False)


def test_every_field_of_the_spec_reaches_the_server() -> None:
    """Each field has the server's name and unit."""
    read = settings_of(EVERYTHING)
    assert (read.workers, read.heartbeat.interval_seconds, read.limits.outbox_bytes) == (64, 2592000, 1 << 30)
    assert read.compression == Compression(enabled=True, threshold_bytes=1 << 30)
    assert [namespace.name for namespace in read.namespaces] == ["default", "A_b.c-1", "n" * 63]
    assert read.namespaces[1].history is not None
    assert (read.auth.issuer, read.auth.audience) == ("a", ("b", "c"))
    assert read.auth.token_keys == (TokenKeyFile(algorithm="HS256", file=Path("/etc/realtime/tokens/0")),)
    assert read.auth.subscription_token_keys == (
        TokenKeyFile(algorithm="HS256", file=Path("/etc/realtime/tokens/subscription-0")),
    )
    assert read.auth.leeway_seconds == 300
    assert read.auth.revocation_seconds == 60
    assert read.auth.jwks == JsonWebKeys(
        url="https://id.example/keys",
        refresh_seconds=86_400,
        max_age_seconds=2_592_000,
        ca_file=Path("/etc/realtime/tokens/jwks-ca.pem"),
    )
    assert read.hooks.publish == RequestHook(url="http://backend", when_down="allow", namespaces=("default",))
    assert read.hooks.events == EventHook(url="http://backend", queue_size=100)
    assert read.hooks.secret_file == Path("/etc/realtime/hooks/secret")
    assert read.api.keys == (
        ApiKey(
            name="shop", file=Path("/etc/realtime/credentials/api-key-shop"), methods=("info",), channels=("a*",),
            calls_per_second=9,
        ),
    )  # fmt: skip
    assert read.backplane.redis is not None
    assert read.backplane.redis.url_file == Path("/etc/realtime/redis/url")
    assert read.brokers == (
        MessageBroker(
            name="main",
            rabbitmq=RabbitMq(
                url_file=Path("/etc/realtime/brokers/main.url"),
                ca_file=Path("/etc/realtime/brokers/main.ca.crt"),
                certificate_file=Path("/etc/realtime/brokers/main.tls.crt"),
                key_file=Path("/etc/realtime/brokers/main.tls.key"),
            ),
        ),
    )
    assert read.consumers[0] == Consumer(
        broker="main",
        queue="orders",
        prefetch=10_000,
        mapping=QueueMapping(channel="default:{routing_key.2}"),
        dead_letter=DeadLetter(exchange="dead", routing_key="orders"),
        retries=Retries(attempts=20, first_delay_seconds=60, max_delay_seconds=60),
    )
    assert read.consumers[1].mapping.commands == QueuedCommands(methods=("publish", "presence_stats"))
    assert read.consumers[2].mapping.channels_header == "channels"
    assert read.drain.timeout_seconds == 2592000
    assert read.tracing == Tracing(
        endpoint="https://collector:4318",
        sampling_rate_per_million=1_000_000,
        max_traces_per_second=100_000,
        headers=(TracingHeader(name="Authorization", file=Path("/etc/realtime/tracing/header-0")),),
        ca_file=Path("/etc/realtime/tracing/ca.pem"),
        service_name="chat",
        service_namespace="realtime",
    )


def test_keys_of_every_algorithm_reach_the_server() -> None:
    """The algorithms of the spec are those of the server."""
    algorithms = get_args(Token.model_fields["algorithm"].annotation)
    assert algorithms == get_args(TokenKeyFile.model_fields["algorithm"].annotation)
    reference: JsonObject = {"name": "t", "key": "k"}
    tokens: list[JsonValue] = [{"algorithm": algorithm, "secretKeyRef": reference} for algorithm in algorithms[1:9]]
    read = settings_of({"auth": {"tokens": tokens}})
    assert [key.algorithm for key in read.auth.token_keys] == list(algorithms[1:9])


def test_methods_of_api_keys_are_those_of_the_server() -> None:
    """Spec, settings and the server's methods agree."""
    words = {server_defaults.server_word(method) for method in get_args(SpecApiMethod)}
    assert words == set(get_args(ApiMethod)) == set(METHODS)


def test_the_managed_redis_is_found() -> None:
    """The server has its address, and the password in a file."""
    redis = settings_of({}).backplane.redis
    assert redis is not None
    assert redis.address == "chat-redis.realtime.svc:6379"
    assert redis.password_file == Path("/etc/realtime/redis/password")


SECONDS = st.integers(1, 720 * 3600)


@given(
    interval=SECONDS,
    timeout=SECONDS,
    message=st.integers(1 << 10, 1 << 30),
    outbox=st.integers(1 << 10, 1 << 30),
    name=st.from_regex("[-_.a-zA-Z0-9]{1,63}", fullmatch=True),
    workers=st.integers(1, 64),
)
def test_what_the_spec_accepts_the_server_accepts(
    interval: int, timeout: int, message: int, outbox: int, name: str, workers: int
) -> None:
    """All bounds are tested: otherwise servers would crash-loop over an accepted spec."""
    low, high = sorted((timeout, interval))
    smaller = max(1 << 10, min(message, outbox) // 2)
    spec: JsonObject = {
        "server": {
            "workers": workers,
            "heartbeat": {"interval": f"{min(high + 1, 999_999)}s", "timeout": f"{min(low, 999_998)}s"},
            "limits": {"messageBytes": smaller, "outboxBytes": max(message, outbox, 2 * smaller)},
        },
        "namespaces": [{"name": name, "history": {"ttl": f"{min(low, 999_999)}s"}}],
    }
    assert settings_of(spec).workers == workers


@pytest.mark.parametrize("part", ["limits", "heartbeat", "compression"])
def test_no_setting_of_the_server_is_forgotten(part: str) -> None:
    """A new limit of the server has to become a field of the spec in the same change."""
    assert set(object_at(full_config(cluster_of(EVERYTHING)), part)) == set(
        type(getattr(Settings(), part)).model_fields
    )


def test_every_part_of_the_spec_that_servers_read_is_known() -> None:
    """The list covers the top level of the server's file; development options have no place in a cluster."""
    assert set(full_config(cluster_of(EVERYTHING))) == set(Settings.model_fields) - {"development"}
    assert {"server", "namespaces", "auth", "api", "backplane"} <= set(RealtimeClusterSpec.model_fields)


def test_the_defaults_that_are_left_out_are_the_servers() -> None:
    """A field that the file omits has the value that the operator assumes."""
    own = parse(Settings().model_dump_json())
    assert disagreements(server_defaults.SERVER, own) == []
    examples: list[tuple[pruning.Defaults, BaseModel]] = [
        (namespaces.NAMESPACE, Namespace(name="a")),
        (namespaces.HISTORY, History()),
        (server_defaults.JWKS, JsonWebKeys(url="http://a")),
        (server_defaults.HOOK, RequestHook(url="http://a")),
        (server_defaults.EVENT_HOOK, EventHook(url="http://a")),
        (server_defaults.API_KEY, ApiKey(name="a", file=Path("a"))),
        (
            server_defaults.CONSUMER,
            Consumer.model_construct(broker="a", queue="a", mapping=QueueMapping.model_construct()),
        ),
        (server_defaults.RABBITMQ, RabbitMq(url_file=Path("a"))),
        (server_defaults.TRACING, Tracing(endpoint="http://a")),
        (server_defaults.SOCKET_NAMESPACE, SocketIoNamespace(name="/")),
    ]
    for table, example in examples:
        assert disagreements(table, parse(example.model_dump_json())) == []


def disagreements(table: pruning.Defaults, own: JsonObject) -> list[str]:
    """Return the fields with different values in operator and server."""
    found: list[str] = []
    for name, default in table.items():
        match default:
            case pruning.ListDefaults():
                wrong = own[name] != []
            case pruning.OptionalDefaults():
                wrong = own[name] is not None
            case dict() if isinstance(own[name], dict):
                found += [f"{name}.{part}" for part in disagreements(default, object_at(own, name))]
                continue
            case _:
                wrong = own[name] != default
        found += [name] if wrong else []
    return found


@pytest.mark.parametrize("part", ["server", "namespaces", "hooks", "auth", "api"])
def test_what_is_left_out_changes_nothing(part: str) -> None:
    """A server reads the same from the short file as from the complete one."""
    cluster = cluster_of({part: EVERYTHING[part]})
    short, whole = (json.dumps(config(cluster)) for config in (server_config, full_config))
    assert Settings.model_validate_json(short) == Settings.model_validate_json(whole)


def test_both_refuse_to_pass_on_the_same_headers() -> None:
    """A spec that the operator accepts yields a configuration that a server accepts."""
    assert frozenset(RESERVED_HEADERS) == RESERVED
    assert HEADER.lower() in RESERVED_HEADERS
