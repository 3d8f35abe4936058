"""Parts that all pods of a cluster share; they satisfy the `restricted` Pod Security Standard."""

from __future__ import annotations

from collections.abc import Iterable

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1_pod import ImagePullSecret
from realtime_operator.builders.settings import BuildSettings

USER = 65532
"""User and group id of all containers; the images need no account for it."""

READABLE_BY_GROUP = 0o440
"""Mode of mounted files, which belong to root and to the pod's fsGroup."""

TEMPORARY_DIRECTORY = "/tmp"  # noqa: S108 - an emptyDir of the pod


def pod_security_context() -> JsonObject:
    """Build the security context of a pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security_context() -> JsonObject:
    """Build the security context of a container."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def temporary_volume(limit: str) -> JsonObject:
    """Build a volume in memory; its files count as memory of the container."""
    return {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": limit}}


def secret_volume(name: str, secret: str, files: dict[str, str]) -> JsonObject:
    """Build a volume with keys of a Secret as files; `files` maps keys to file names."""
    items: list[JsonValue] = [{"key": key, "path": file} for key, file in files.items()]
    return {
        "name": name,
        "secret": {"secretName": secret, "items": items, "defaultMode": READABLE_BY_GROUP},
    }


def mount(volume: str, path: str, *, read_only: bool = True) -> JsonObject:
    """Build the mount of a volume; `readOnly: false` is left out, as the API server does."""
    return {"name": volume, "mountPath": path, **({"readOnly": True} if read_only else {})}


def image_pull_secrets(settings: BuildSettings, own: Iterable[ImagePullSecret]) -> JsonObject:
    """Build the field `imagePullSecrets` from the operator's defaults and a pod's own; nothing when there are none."""
    names = {*settings.image_pull_secrets, *(secret.name for secret in own)}
    every: list[JsonValue] = [{"name": name} for name in sorted(names)]
    return {"imagePullSecrets": every} if every else {}
