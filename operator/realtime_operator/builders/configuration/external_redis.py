"""An external Redis as servers see it: the part of their configuration, and the files that it names."""

from __future__ import annotations

from collections.abc import Mapping

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1_external_redis import ExternalRedis, RedisTls
from realtime_operator.api.v1alpha1_server import SecretKeySelector, SecretValue

URL_FILE = "url"
PASSWORD_FILE = "external-password"  # noqa: S105 - a file's name
SENTINEL_PASSWORD_FILE = "sentinel-password"  # noqa: S105 - a file's name
CA_FILE = "ca.crt"
CERTIFICATE_FILE = "tls.crt"
KEY_FILE = "tls.key"


def external_redis_files(external: ExternalRedis) -> dict[str, SecretKeySelector]:
    """Return the Secret keys to mount into a server, by file name."""
    tls = external.tls or RedisTls()
    values: Mapping[str, SecretValue | None] = {
        URL_FILE: external.url,
        PASSWORD_FILE: external.password,
        SENTINEL_PASSWORD_FILE: None if external.sentinel is None else external.sentinel.password,
        CA_FILE: tls.ca,
        CERTIFICATE_FILE: tls.certificate,
        KEY_FILE: tls.key,
    }
    return {name: value.secret_key_ref for name, value in values.items() if value is not None}


def external_redis_config(external: ExternalRedis) -> JsonObject:
    """Return the servers' setting `backplane.redis`, without fields that are absent in the spec."""
    tls = external.tls or RedisTls()
    fields: Mapping[str, JsonValue] = {
        "url_file": _path(external.url, URL_FILE),
        "address": external.address,
        "sentinel": _sentinel(external),
        "cluster": _cluster(external),
        "username": external.username,
        "password_file": _path(external.password, PASSWORD_FILE),
        "database": external.database or None,
        "tls": True if external.tls is not None and external.url is None else None,
        "ca_file": _path(tls.ca, CA_FILE),
        "certificate_file": _path(tls.certificate, CERTIFICATE_FILE),
        "key_file": _path(tls.key, KEY_FILE),
    }
    return _present(fields)


def _sentinel(external: ExternalRedis) -> JsonObject | None:
    sentinel = external.sentinel
    if sentinel is None:
        return None
    return _present(
        {
            "addresses": [*sentinel.addresses],
            "master_name": sentinel.master_name,
            "username": sentinel.username,
            "password_file": _path(sentinel.password, SENTINEL_PASSWORD_FILE),
        }
    )


def _cluster(external: ExternalRedis) -> JsonObject | None:
    cluster = external.cluster
    return None if cluster is None else {"addresses": [*cluster.addresses], "partitions": cluster.partitions}


def _path(value: SecretValue | None, file: str) -> str | None:
    return None if value is None else f"{naming.REDIS_CREDENTIALS_DIRECTORY}/{file}"


def _present(fields: Mapping[str, JsonValue]) -> JsonObject:
    return {name: value for name, value in fields.items() if value is not None}
