"""Settings of distributed tracing: a part of the server's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator


class TracingHeader(BaseModel):
    """A header of every request to the collector, whose value is in a file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern="^[A-Za-z0-9-]+$")]
    file: Path


class Tracing(BaseModel):
    """Where spans are sent, and which: Protobuf over HTTP (OTLP), to `/v1/traces` below `endpoint`.

    `sampling_rate_per_million`: of traces that begin here; those of the server API's callers are sampled as these say.
    Of either kind at most `max_traces_per_second` are, for the whole server. `ca_file`: certificates in PEM that are
    trusted instead of the usual ones. `service_namespace` is also the namespace of Kubernetes in a pod.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: Annotated[str, Field(pattern="^https?://[^/?#]+(/[^?#]*)?$")]
    sampling_rate_per_million: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    max_traces_per_second: Annotated[float, Field(gt=0, le=100_000)] = 100
    headers: tuple[TracingHeader, ...] = ()
    ca_file: Path | None = None
    service_name: Annotated[str, Field(min_length=1)] = "realtime-server"
    service_namespace: str = ""

    @field_validator("endpoint")
    @classmethod
    def _endpoint_is_the_base(cls, endpoint: str) -> str:
        if endpoint.rstrip("/").endswith("/v1/traces"):
            raise ValueError("must be the address without /v1/traces, which is added")
        return endpoint
