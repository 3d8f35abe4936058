"""The operator's settings, read from the environment once at the start."""

from __future__ import annotations

import secrets
import socket
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from realtime_operator.errors import SettingsError

PREFIX = "REALTIME_OPERATOR_"

Seconds = Annotated[float, Field(gt=0, le=3600)]


class Settings(BaseSettings):
    """The operator's settings.

    Each field is read from the environment variable of its name in upper case with the prefix REALTIME_OPERATOR_.
    """

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True)

    server_image: Annotated[str, Field(min_length=1)]
    """Image of servers when the spec sets none."""
    redis_image: Annotated[str, Field(min_length=1)]
    """Image of the managed Redis when the spec sets none."""
    server_image_pull_policy: Literal["Always", "IfNotPresent", "Never"] = "IfNotPresent"
    """Pull policy of the server image."""
    image_pull_secrets: str = ""
    """Names of Secrets with registry credentials, separated by commas, for servers and the managed Redis."""
    watch_namespaces: str = ""
    """Namespaces to watch, separated by commas; empty: all."""
    namespace: str = ""
    """Namespace of the operator's pod, from which NetworkPolicies of clusters allow connections to the admin port."""
    lease_name: str = "realtime-operator"
    """Name of the Lease."""
    lease_namespace: str = "default"
    """Namespace of the Lease."""
    lease_duration_seconds: Seconds = 15
    """Seconds after which a leader that has not renewed has lost the lease."""
    lease_renew_seconds: Seconds = 10
    """Seconds after which a leader that could not renew gives up."""
    lease_retry_seconds: Seconds = 2
    """Seconds between two attempts to take or to renew the lease."""
    identity: str = Field(default_factory=lambda: f"{socket.gethostname()}-{secrets.token_hex(4)}", min_length=1)
    """Identity of this process in the Lease: the pod's name and a random part; unique among processes."""
    paused: bool = False
    """Pauses the operator: it observes and reports, and changes nothing but status."""
    rollouts_max_concurrent: Annotated[int, Field(ge=0, le=10_000)] = 1
    """Number of clusters that may be rolled at once when the operator begins a rollout by itself; 0: it begins none."""
    resync_seconds: Seconds = 30
    """Seconds between two reconciles of a cluster in which nothing changes."""
    poll_seconds: Seconds = 1
    """Seconds between two reconciles of a cluster during a rollout or a drain."""
    http_port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port of /healthz, /readyz and /metrics."""
    webhook_name: str = ""
    """Name of the ValidatingWebhookConfiguration of evictions, and of the Secret of its certificate; empty: none."""
    webhook_port: Annotated[int, Field(ge=1, le=65535)] = 10250
    """Port of the webhook."""
    webhook_leave_seconds: Annotated[float, Field(ge=0, le=3600)] = 5
    """Seconds for which the webhook answers after SIGTERM, while the process is not ready and leaves its Service."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """Minimum level of logged events."""
    log_format: Literal["json", "text"] = "json"
    """Output format of logs."""

    @model_validator(mode="after")
    def _lease_times_are_ordered(self) -> Self:
        if not self.lease_retry_seconds < self.lease_renew_seconds < self.lease_duration_seconds:
            raise ValueError(
                "LEASE_RETRY_SECONDS must be less than LEASE_RENEW_SECONDS, and that less than LEASE_DURATION_SECONDS"
            )
        return self

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The namespaces to watch; empty: all."""
        return _names(self.watch_namespaces)

    @property
    def pull_secrets(self) -> tuple[str, ...]:
        """The names in `image_pull_secrets`."""
        return _names(self.image_pull_secrets)

    @classmethod
    def load(cls) -> Settings:
        """Read the environment; raises SettingsError."""
        try:
            return cls()
        except ValidationError as error:
            lines = [f"{_variable(entry['loc'])}: {entry['msg']}" for entry in error.errors()]
            raise SettingsError("\n".join(lines)) from error


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _variable(location: tuple[int | str, ...]) -> str:
    return PREFIX + "_".join(str(part) for part in location).upper() if location else "settings"
