"""Volumes of a server: its configuration, and secrets as files, which change in place when rotated."""

from __future__ import annotations

from collections.abc import Mapping

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_server import SecretKeySelector
from realtime_operator.builders import pod
from realtime_operator.builders.config_map import URL_FILE, api_key_file, authentication_files
from realtime_operator.builders.credentials_secret import generated_keys
from realtime_operator.builders.hooks import SECRET_FILE

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
        _redis(cluster),
        pod.temporary_volume(TEMPORARY_LIMIT),
    ]


def server_mounts(cluster: RealtimeCluster) -> list[JsonValue]:
    """Return where they are mounted."""
    return [
        pod.mount("config", naming.CONFIG_DIRECTORY),
        pod.mount("credentials", naming.CREDENTIALS_DIRECTORY),
        *([pod.mount("tokens", naming.TOKENS_DIRECTORY)] if authentication_files(cluster) else []),
        *([pod.mount("hooks", naming.HOOKS_DIRECTORY)] if cluster.spec.hooks.signing_key else []),
        pod.mount("redis", naming.REDIS_CREDENTIALS_DIRECTORY),
        pod.mount("tmp", pod.TEMPORARY_DIRECTORY, read_only=False),
    ]


def _credentials(cluster: RealtimeCluster) -> list[JsonValue]:
    """Return the volume sources of credentials: the generated ones, the spec's own API key, and its further keys."""
    generated = {key: key for key in generated_keys(cluster)}
    sources = [_source(naming.credentials_secret(cluster.metadata.name), generated)]
    own = cluster.spec.api.key
    files = {} if own is None else {naming.KEY_API: own.secret_key_ref}
    files |= {api_key_file(key): key.secret_key_ref for key in cluster.spec.api.keys}
    return [*sources, *_referred(files)]


def _tokens(cluster: RealtimeCluster) -> list[JsonValue]:
    return _referred(authentication_files(cluster))


def _hooks(cluster: RealtimeCluster) -> list[JsonObject]:
    signing = cluster.spec.hooks.signing_key
    if signing is None:
        return []
    return [pod.secret_volume("hooks", signing.secret_key_ref.name, {signing.secret_key_ref.key: SECRET_FILE})]


def _redis(cluster: RealtimeCluster) -> JsonObject:
    external = cluster.spec.backplane.redis.external
    if external is not None:
        reference = external.url.secret_key_ref
        return pod.secret_volume("redis", reference.name, {reference.key: URL_FILE})
    name = naming.redis(cluster.metadata.name)
    return pod.secret_volume("redis", name, {naming.KEY_REDIS_PASSWORD: naming.KEY_REDIS_PASSWORD})


def _referred(files: Mapping[str, SecretKeySelector]) -> list[JsonValue]:
    """Build a volume source for each file that comes from a Secret of the user."""
    return [_source(reference.name, {reference.key: file}) for file, reference in files.items()]


def _projected(name: str, sources: list[JsonValue]) -> JsonObject:
    return {"name": name, "projected": {"sources": sources, "defaultMode": pod.READABLE_BY_GROUP}}


def _source(secret: str, files: dict[str, str]) -> JsonObject:
    items: list[JsonValue] = [{"key": key, "path": file} for key, file in files.items()]
    return {"secret": {"name": secret, "items": items}}
