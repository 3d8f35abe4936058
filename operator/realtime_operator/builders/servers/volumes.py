"""Volumes of a server: its configuration, and secrets as files, which change in place when rotated."""

from __future__ import annotations

from collections.abc import Mapping

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_certificate import KEY_AUTHORITY
from realtime_operator.api.v1alpha1_server import SecretKeySelector
from realtime_operator.builders.configuration.config_map import api_key_file, authentication_files
from realtime_operator.builders.configuration.external_redis import CA_FILE, external_redis_files
from realtime_operator.builders.configuration.hooks import SECRET_FILE, hooks_files
from realtime_operator.builders.configuration.listen import TLS_FILES, ca_files, tls_secrets
from realtime_operator.builders.configuration.message_brokers import broker_files
from realtime_operator.builders.configuration.tracing import tracing_files
from realtime_operator.builders.credentials_secret import mounted_keys
from realtime_operator.builders.pods import pod
from realtime_operator.builders.redis.tls_options import tls_secret

TEMPORARY_LIMIT = "64Mi"


def server_volumes(cluster: RealtimeCluster, revision: str) -> list[JsonValue]:
    """Return the volumes of a server pod, in the order of `server_mounts`."""
    tokens = _tokens(cluster)
    return [
        {
            "name": "config",
            "configMap": {
                "name": naming.revision_object(cluster.metadata.name, revision),
                "defaultMode": pod.READABLE_BY_GROUP,
            },
        },
        _projected("credentials", _credentials(cluster)),
        *([_projected("tokens", tokens)] if tokens else []),
        *_hooks(cluster),
        *_tracing(cluster),
        *_brokers(cluster),
        *_redis(cluster),
        *_tls(cluster),
        pod.temporary_volume(TEMPORARY_LIMIT),
    ]


def server_mounts(cluster: RealtimeCluster) -> list[JsonValue]:
    """Return where they are mounted."""
    return [
        pod.mount("config", naming.CONFIG_DIRECTORY),
        pod.mount("credentials", naming.CREDENTIALS_DIRECTORY),
        *([pod.mount("tokens", naming.TOKENS_DIRECTORY)] if authentication_files(cluster) else []),
        *([pod.mount("hooks", naming.HOOKS_DIRECTORY)] if hooks_files(cluster.spec.hooks) else []),
        *([pod.mount("tracing", naming.TRACING_DIRECTORY)] if tracing_files(cluster.spec.tracing) else []),
        *([pod.mount("brokers", naming.BROKERS_DIRECTORY)] if cluster.spec.brokers else []),
        *([pod.mount("redis", naming.REDIS_CREDENTIALS_DIRECTORY)] if _redis(cluster) else []),
        *(pod.mount(volume, directory) for volume, directory, _ in tls_secrets(cluster)),
        pod.mount("tmp", pod.TEMPORARY_DIRECTORY, read_only=False),
    ]


def _credentials(cluster: RealtimeCluster) -> list[JsonValue]:
    """Return the volume sources of credentials: the generated ones, the spec's own API key, and its further keys."""
    generated = {key: key for key in mounted_keys(cluster)}
    sources = [_source(naming.credentials_secret(cluster.metadata.name), generated)]
    own = cluster.spec.api.key
    files = {} if own is None else {naming.KEY_API: own.secret_key_ref}
    files |= {api_key_file(key): key.secret_key_ref for key in cluster.spec.api.keys}
    return [*sources, *_referred(files)]


def _tokens(cluster: RealtimeCluster) -> list[JsonValue]:
    return _referred(authentication_files(cluster))


def _hooks(cluster: RealtimeCluster) -> list[JsonObject]:
    """Return the volume of hooks: a Secret as it is when there is one file, as a pod of an earlier release has it."""
    files = hooks_files(cluster.spec.hooks)
    if [*files] == [SECRET_FILE]:
        reference = files[SECRET_FILE]
        return [pod.secret_volume("hooks", reference.name, {reference.key: SECRET_FILE})]
    return [_projected("hooks", _referred(files))] if files else []


def _tracing(cluster: RealtimeCluster) -> list[JsonObject]:
    files = tracing_files(cluster.spec.tracing)
    return [_projected("tracing", _referred(files))] if files else []


def _brokers(cluster: RealtimeCluster) -> list[JsonObject]:
    files = broker_files(cluster.spec.brokers)
    return [_projected("brokers", _referred(files))] if files else []


def _tls(cluster: RealtimeCluster) -> list[JsonObject]:
    """Return a volume for each port with TLS; a pod waits for a Secret that cert-manager has not made yet."""
    extra = {naming.API_TLS_DIRECTORY: ca_files(cluster.spec.api)}
    return [
        _projected(volume, [_source(secret, dict(TLS_FILES)), *_referred(extra.get(directory, {}))])
        for volume, directory, secret in tls_secrets(cluster)
    ]


def _redis(cluster: RealtimeCluster) -> list[JsonObject]:
    """Return the volume with what Redis is reached with; none for an external one without any secret."""
    external = cluster.spec.backplane.redis.external
    if external is None:
        return [_managed_redis(cluster)]
    files = external_redis_files(external)
    if len(files) == 1:
        ((file, reference),) = files.items()
        return [pod.secret_volume("redis", reference.name, {reference.key: file})]
    return [_projected("redis", _referred(files))] if files else []


def _managed_redis(cluster: RealtimeCluster) -> JsonObject:
    name, certificate = naming.redis(cluster.metadata.name), tls_secret(cluster)
    password = {naming.KEY_REDIS_PASSWORD: naming.KEY_REDIS_PASSWORD}
    if certificate is None:
        return pod.secret_volume("redis", name, password)
    return _projected("redis", [_source(name, password), _source(certificate, {KEY_AUTHORITY: CA_FILE})])


def _referred(files: Mapping[str, SecretKeySelector]) -> list[JsonValue]:
    """Build a volume source for each file that comes from a Secret of the user."""
    return [_source(reference.name, {reference.key: file}) for file, reference in files.items()]


def _projected(name: str, sources: list[JsonValue]) -> JsonObject:
    return {"name": name, "projected": {"sources": sources, "defaultMode": pod.READABLE_BY_GROUP}}


def _source(secret: str, files: dict[str, str]) -> JsonObject:
    items: list[JsonValue] = [{"key": key, "path": file} for key, file in files.items()]
    return {"secret": {"name": secret, "items": items}}
