"""The ConfigMap of a revision: the configuration file of its servers."""

from __future__ import annotations

import json
from collections.abc import Sequence

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_server import (
    ApiKey,
    Authentication,
    Compression,
    JsonWebKeys,
    Limits,
    SecretKeySelector,
    ServerApi,
    Token,
)
from realtime_operator.builders.configuration.external_redis import CA_FILE, external_redis_config
from realtime_operator.builders.configuration.hooks import hooks_config
from realtime_operator.builders.configuration.listen import api_tls_config, listen_config
from realtime_operator.builders.configuration.message_brokers import broker_config, consumer_config
from realtime_operator.builders.configuration.namespaces import namespace_config
from realtime_operator.builders.configuration.protocols import protocols_config
from realtime_operator.builders.configuration.server_defaults import server_word, without_defaults
from realtime_operator.builders.configuration.tracing import tracing_config
from realtime_operator.builders.manifest import metadata, with_applied_hash
from realtime_operator.builders.redis.service import redis_address, sentinel_addresses

JWKS_CA_FILE = "jwks-ca.pem"
AUTHORITY_FILE = f"{naming.REDIS_CREDENTIALS_DIRECTORY}/{CA_FILE}"
"""Certificate of the authority by which servers verify the managed Redis."""


def build_config_map(cluster: RealtimeCluster, revision: str) -> JsonObject:
    """Build the ConfigMap. It is never changed: another configuration makes another revision."""
    name = naming.revision_object(cluster.metadata.name, revision)
    labels: JsonObject = {naming.LABEL_REVISION: revision}
    text = json.dumps(server_config(cluster), indent=2, ensure_ascii=False) + "\n"
    return with_applied_hash(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": metadata(cluster, name, naming.COMPONENT_SERVER, labels=labels),
            "immutable": True,
            "data": {naming.CONFIG_FILE: text},
        }
    )


def server_config(cluster: RealtimeCluster) -> JsonObject:
    """Return the server's configuration (docs/reference/server-config.md) without fields that have their default."""
    return without_defaults(full_config(cluster))


def full_config(cluster: RealtimeCluster) -> JsonObject:
    """Return the complete configuration of a server, defaults included. Durations in seconds, sizes in bytes.

    The rate of drains is not part of it: the operator passes it with each drain, so that a change takes effect at once
    and makes no new revision.
    """
    server, drain = cluster.spec.server, cluster.spec.rollout.drain
    return {
        "workers": server.workers,
        "listen": listen_config(cluster.spec.endpoint),
        "heartbeat": {
            "interval_seconds": server.heartbeat.interval_seconds,
            "timeout_seconds": server.heartbeat.timeout_seconds,
        },
        "compression": _compression(server.compression),
        "protocols": protocols_config(cluster.spec.protocols),
        "limits": _limits(server.limits),
        "origins": [*server.origins],
        "namespaces": [namespace_config(namespace) for namespace in cluster.spec.namespaces],
        "auth": _auth(cluster),
        "hooks": hooks_config(cluster),
        "api": _api(cluster.spec.api),
        "admin": {"token_file": f"{naming.CREDENTIALS_DIRECTORY}/{naming.KEY_ADMIN_TOKEN}"},
        "backplane": {"redis": _redis(cluster), "prefix": f"{cluster.metadata.namespace}.{cluster.metadata.name}"},
        "brokers": [broker_config(broker) for broker in cluster.spec.brokers],
        "consumers": [consumer_config(consumer) for consumer in cluster.spec.consumers],
        "drain": {"timeout_seconds": drain.timeout_seconds, "settle_seconds": drain.settle_seconds},
        "tracing": tracing_config(cluster),
    }


def api_key_file(key: ApiKey) -> str:
    """Return the file name of one of the further keys of the server API."""
    return f"{naming.KEY_API}-{key.name}"


def _api(api: ServerApi) -> JsonObject:
    keys: list[JsonValue] = [
        {
            "name": key.name,
            "file": f"{naming.CREDENTIALS_DIRECTORY}/{api_key_file(key)}",
            "methods": [server_word(method) for method in key.methods],
            "channels": [*key.channels],
            "calls_per_second": key.calls_per_second,
        }
        for key in api.keys
    ]
    return {
        "key_file": f"{naming.CREDENTIALS_DIRECTORY}/{naming.KEY_API}",
        "keys": keys,
        "on_client_port": api.on_client_port,
        "tls": api_tls_config(api),
    }


def _compression(compression: Compression) -> JsonObject:
    """Return the settings of compression; empty when it is off, where a threshold has no meaning."""
    return {} if compression.algorithm == "None" else {"enabled": True, "threshold_bytes": compression.threshold_bytes}


def _limits(limits: Limits) -> JsonObject:
    return {
        "connections": limits.connections,
        "handshakes": limits.handshakes,
        "connects_per_second": limits.connects_per_second,
        "connections_per_user": limits.connections_per_user,
        "channels_per_connection": limits.channels_per_connection,
        "message_bytes": limits.message_bytes_number,
        "messages_per_second": limits.messages_per_second,
        "outbox_bytes": limits.outbox_bytes_number,
    }


def token_files(cluster: RealtimeCluster) -> dict[str, Token]:
    """Return the spec's token keys by file name, in the spec's order; empty when the token secret is generated."""
    auth = cluster.spec.auth
    connection = {f"{index}": token for index, token in enumerate(auth.tokens)}
    return connection | {f"subscription-{index}": token for index, token in enumerate(auth.subscription_tokens)}


def authentication_files(cluster: RealtimeCluster) -> dict[str, SecretKeySelector]:
    """Return the Secret keys to mount for authentication, by file name: token keys, and the CA of the JWK Set."""
    files = {file: token.secret_key_ref for file, token in token_files(cluster).items()}
    jwks = cluster.spec.auth.jwks
    return files if jwks is None or jwks.ca is None else {**files, JWKS_CA_FILE: jwks.ca.secret_key_ref}


def _auth(cluster: RealtimeCluster) -> JsonObject:
    auth, files = cluster.spec.auth, [*token_files(cluster)]
    connection, subscription = files[: len(auth.tokens)], files[len(auth.tokens) :]
    return {
        "anonymous": auth.anonymous == "Allow",
        "token_keys": _token_keys(connection, auth.tokens) or _generated_token_keys(),
        "subscription_token_keys": _token_keys(subscription, auth.subscription_tokens),
        "jwks": None if auth.jwks is None else _jwks(auth.jwks),
        "issuer": auth.issuer,
        "audience": _audience(auth),
        "leeway_seconds": auth.leeway_seconds,
        "revocation_seconds": auth.revocation_seconds,
    }


def _generated_token_keys() -> list[JsonValue]:
    keys = (naming.KEY_TOKEN_SECRET, naming.alternate(naming.KEY_TOKEN_SECRET))
    return [{"algorithm": "HS256", "file": f"{naming.CREDENTIALS_DIRECTORY}/{key}"} for key in keys]


def _audience(auth: Authentication) -> JsonValue:
    """Return a list only for several audiences: servers of earlier releases accept a text only."""
    if len(auth.audiences) > 1:
        return [*auth.audiences]
    return auth.audiences[0] if auth.audiences else None


def _jwks(jwks: JsonWebKeys) -> JsonObject:
    return {
        "url": jwks.url,
        "refresh_seconds": jwks.refresh_seconds,
        "max_age_seconds": jwks.max_age_seconds,
        "timeout_seconds": jwks.timeout_seconds,
        "ca_file": None if jwks.ca is None else f"{naming.TOKENS_DIRECTORY}/{JWKS_CA_FILE}",
    }


def _token_keys(files: Sequence[str], tokens: Sequence[Token]) -> list[JsonValue]:
    return [
        {"algorithm": token.algorithm, "file": f"{naming.TOKENS_DIRECTORY}/{file}"}
        for file, token in zip(files, tokens, strict=True)
    ]


def _redis(cluster: RealtimeCluster) -> JsonObject:
    backplane = cluster.spec.backplane
    if backplane.managed is None:
        assert backplane.redis.external is not None
        return external_redis_config(backplane.redis.external)
    password_file = f"{naming.REDIS_CREDENTIALS_DIRECTORY}/{naming.KEY_REDIS_PASSWORD}"
    tls: JsonObject = {} if backplane.managed.tls is None else {"tls": True, "ca_file": AUTHORITY_FILE}
    if not backplane.has_failover:
        return {"address": redis_address(cluster), "password_file": password_file, **tls}
    sentinel: JsonObject = {
        "addresses": sentinel_addresses(cluster),
        "master_name": naming.REDIS_MASTER,
        "password_file": password_file,
    }
    return {"sentinel": sentinel, "password_file": password_file, **tls}
