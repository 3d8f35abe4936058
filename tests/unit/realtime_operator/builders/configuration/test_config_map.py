"""Tests of the servers' configuration."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.builders.configuration.config_map import build_config_map, server_config
from tests.kit.document import dig, object_at, parse, text_at
from tests.kit.manifests import cluster_of


def test_it_never_changes() -> None:
    config_map = build_config_map(cluster_of(), "bcdfghjkmn")
    assert config_map["immutable"] is True
    assert text_at(config_map, "metadata", "name") == "chat-bcdfghjkmn"


def test_the_file_is_the_configuration() -> None:
    """The file is indented JSON."""
    text = text_at(build_config_map(cluster_of(), "b"), "data", "config.json")
    assert parse(text) == server_config(cluster_of())
    assert text.startswith('{\n  "auth": {\n')


def test_no_secret_is_in_it() -> None:
    """The configuration has the paths of secret files, not their content."""
    config = server_config(cluster_of())
    assert object_at(config, "api") == {"key_file": "/etc/realtime/credentials/api-key"}
    assert object_at(config, "admin") == {"token_file": "/etc/realtime/credentials/admin-token"}
    assert dig(config, "auth", "token_keys") == [
        {"algorithm": "HS256", "file": "/etc/realtime/credentials/token-secret"},
        {"algorithm": "HS256", "file": "/etc/realtime/credentials/token-secret-alternate"},
    ]
    assert dig(config, "backplane", "redis", "password_file") == "/etc/realtime/redis/password"


def test_only_what_differs_from_the_servers_defaults_is_in_it() -> None:
    """Servers of an earlier release accept it, as it has no field that they do not know."""
    config = server_config(cluster_of())
    assert {name: list(object_at(config, name)) for name in config} == {
        "auth": ["token_keys"],
        "api": ["key_file"],
        "admin": ["token_file"],
        "backplane": ["redis", "prefix"],
    }
    limits = server_config(cluster_of({"server": {"limits": {"connections": 5, "messagesPerSecond": 100}}}))["limits"]
    assert limits == {"connections": 5}


def test_the_threshold_of_compression_means_nothing_while_it_is_off() -> None:
    """The threshold is written only while compression is on."""
    assert "compression" not in server_config(cluster_of({"server": {"compression": {"threshold": "2Ki"}}}))
    config = server_config(cluster_of({"server": {"compression": {"algorithm": "Deflate", "threshold": "2Ki"}}}))
    assert config["compression"] == {"enabled": True, "threshold_bytes": 2048}


def test_the_port_of_the_api_is_told_only_where_it_is_not_its_own_alone() -> None:
    """Servers of earlier releases do not know the field."""
    assert server_config(cluster_of({"api": {"onClientPort": False}})) == server_config(cluster_of({}))
    assert dig(server_config(cluster_of({"api": {"onClientPort": True}})), "api", "on_client_port") is True


def test_own_token_secrets_replace_the_generated_one() -> None:
    """Keys are in the spec's order."""
    reference: JsonObject = {"secretKeyRef": {"name": "t", "key": "k"}}
    config = server_config(cluster_of({"auth": {"tokens": [reference, reference]}}))
    files = ["/etc/realtime/tokens/0", "/etc/realtime/tokens/1"]
    assert dig(config, "auth", "token_keys") == [{"algorithm": "HS256", "file": file} for file in files]


def test_keys_are_named_with_their_algorithms() -> None:
    """Keys of subscription tokens are apart from those of connection tokens."""
    reference: JsonObject = {"secretKeyRef": {"name": "t", "key": "k"}}
    own: JsonObject = {"tokens": [{"algorithm": "ES256", **reference}, reference], "subscriptionTokens": [reference]}
    config = server_config(cluster_of({"auth": own}))
    assert dig(config, "auth", "token_keys") == [
        {"algorithm": "ES256", "file": "/etc/realtime/tokens/0"},
        {"algorithm": "HS256", "file": "/etc/realtime/tokens/1"},
    ]
    assert dig(config, "auth", "subscription_token_keys") == [
        {"algorithm": "HS256", "file": "/etc/realtime/tokens/subscription-0"}
    ]


def test_clusters_of_one_name_do_not_meet_in_a_shared_redis() -> None:
    prefixes = {dig(server_config(cluster_of(namespace=n)), "backplane", "prefix") for n in ("a", "b")}
    assert prefixes == {"a.chat", "b.chat"}


def test_a_namespace_without_history_has_none() -> None:
    """An empty history has the server's defaults."""
    spec: JsonObject = {"namespaces": [{"name": "a"}, {"name": "b", "history": {}}]}
    assert server_config(cluster_of(spec))["namespaces"] == [{"name": "a"}, {"name": "b", "history": {}}]


def test_options_of_a_namespace_are_told_where_they_are_used() -> None:
    """Options have the server's names."""
    spec: JsonObject = {"namespaces": [{"name": "b", "writeDelay": "5ms", "slowConsumer": "Conflate"}]}
    assert server_config(cluster_of(spec))["namespaces"] == [
        {"name": "b", "write_delay_seconds": 0.005, "slow_consumer": "conflate"}
    ]


@pytest.mark.parametrize(
    ("audiences", "expected"), [([], None), (["chat"], "chat"), (["chat", "games"], ["chat", "games"])]
)
def test_one_audience_is_a_text(audiences: list[JsonValue], expected: JsonValue) -> None:
    """One audience is a text, as servers of earlier releases expect; several are a list."""
    config = server_config(cluster_of({"auth": {"audiences": audiences}}))
    assert object_at(config, "auth").get("audience") == expected


def test_what_earlier_servers_do_not_know_of_keys_is_there_only_where_it_is_used() -> None:
    """Servers of an earlier release accept the configuration of a cluster that does not use the field."""
    jwks: JsonObject = {"url": "https://id.example/keys"}
    auth = object_at(server_config(cluster_of({"auth": {"jwks": jwks}})), "auth")
    assert auth["jwks"] == {"url": "https://id.example/keys"}
    jwks |= {"maxAge": "1h", "ca": {"secretKeyRef": {"name": "authority", "key": "ca.crt"}}}
    auth = object_at(server_config(cluster_of({"auth": {"jwks": jwks}})), "auth")
    assert auth["jwks"] == {
        "url": "https://id.example/keys",
        "max_age_seconds": 3600,
        "ca_file": "/etc/realtime/tokens/jwks-ca.pem",
    }
