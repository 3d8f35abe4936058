"""Parts that all pods of a cluster have: they run under the `restricted` Pod Security Standard."""

from __future__ import annotations

from collections.abc import Iterable

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1_pod import ImagePullSecret
from realtime_operator.builders.settings import BuildSettings

USER = 65532
"""User and group of all containers; the images need no entry for it."""

READABLE_BY_GROUP = 0o440
"""Mode of mounted files: they belong to root and to the pod's fsGroup."""

TEMPORARY_DIRECTORY = "/tmp"  # noqa: S108 - an emptyDir of the pod


def pod_security_context() -> JsonObject:
    """Security context of a pod."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security_context() -> JsonObject:
    """Security context of a container."""
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def temporary_volume(limit: str) -> JsonObject:
    """A volume in memory; what is in it counts as memory of the container."""
    return {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": limit}}


def secret_volume(name: str, secret: str, files: dict[str, str]) -> JsonObject:
    """A volume with keys of a Secret as files (`key: file name`)."""
    items: list[JsonValue] = [{"key": key, "path": file} for key, file in files.items()]
    return {
        "name": name,
        "secret": {"secretName": secret, "items": items, "defaultMode": READABLE_BY_GROUP},
    }


def mount(volume: str, path: str, *, read_only: bool = True) -> JsonObject:
    """Mount of a volume; the API server leaves `readOnly: false` out."""
    return {"name": volume, "mountPath": path, **({"readOnly": True} if read_only else {})}


def image_pull_secrets(settings: BuildSettings, own: Iterable[ImagePullSecret]) -> JsonObject:
    """Build the field `imagePullSecrets` from the operator's defaults and a pod's own; nothing when there are none."""
    names = {*settings.image_pull_secrets, *(secret.name for secret in own)}
    every: list[JsonValue] = [{"name": name} for name in sorted(names)]
    return {"imagePullSecrets": every} if every else {}
