"""The operator's defaults as input of the builders, and templates of Secrets as their output."""

from __future__ import annotations

from dataclasses import dataclass

from realtime_operator.api.base import JsonObject


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """Defaults for fields that a spec leaves out, and the operator's release. Images are full references with a tag."""

    server_image: str
    redis_image: str
    server_image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: tuple[str, ...] = ()
    operator_version: str = "unknown"
    operator_namespace: str = ""
    """Namespace of the operator's pods; empty when it runs in no pod."""


@dataclass(frozen=True, slots=True)
class SecretTemplate:
    """A Secret whose values are generated when it is created; `manifest` has everything but the data of `keys`."""

    manifest: JsonObject
    keys: tuple[str, ...]
