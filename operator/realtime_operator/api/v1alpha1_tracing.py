"""Models of the part of the spec about distributed tracing."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from realtime_operator.api.base import Model, rule
from realtime_operator.api.lists import MAP_BY_NAME
from realtime_operator.api.v1alpha1_server import SecretKeySelector, SecretValue

ENDPOINT = "^https?://[^/?#@ ]+(/[^?# ]*)?$"
HEADER = "^[A-Za-z0-9-]+$"
TRACES_PATH = "/v1/traces"
FROM_EXPORTER = ("content-encoding", "content-length", "content-type", "host", "transfer-encoding")
"""Headers in lower case that describe the exporter's own request."""


class TracingHeader(Model):
    """Header of every request to the collector, with its value in a Secret."""

    name: Annotated[str, Field(max_length=128)]
    """Name of the header, like Authorization."""
    secret_key_ref: SecretKeySelector
    """Reference to the key of the Secret that has the value. A changed value is used without a new revision."""

    @rule(
        f"self.name.matches('{HEADER}') && !(self.name.lowerAscii() in {list(FROM_EXPORTER)})",
        f"must be the name of an HTTP header like Authorization, and none that servers set: {', '.join(FROM_EXPORTER)}",
        field="name",
    )
    def _name_is_one(self) -> bool:
        return re.fullmatch(HEADER, self.name) is not None and self.name.lower() not in FROM_EXPORTER


class Tracing(Model):
    """Distributed tracing with OpenTelemetry: servers export spans of API calls, publications and hooks."""

    endpoint: Annotated[str, Field(max_length=2048)]
    """Address of a collector that takes OTLP over HTTP, like http://collector.observability.svc:4318. Spans are posted
    to `/v1/traces` below it."""
    sampling_rate_per_million: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Number of samples to collect per million traces that begin at a server: calls of backends that send no
    `traceparent`, publications of clients, and hooks. A backend that sends one decides by its sampled flag."""
    max_traces_per_second: Annotated[int, Field(ge=1, le=100_000)] = 100
    """Upper bound of the traces that a server samples per second, whoever asked for them."""
    headers: Annotated[tuple[TracingHeader, ...], Field(max_length=16), MAP_BY_NAME] = ()
    """Headers of the requests to the collector, like one with credentials."""
    ca: SecretValue | None = None
    """Certificates in PEM of a private authority that https:// is verified against. Defaults to those of the image."""

    @rule(
        f"self.endpoint.matches('{ENDPOINT}') && !self.endpoint.matches('{TRACES_PATH}/*$')",
        "must be an address like http://collector.observability.svc:4318, with the port for OTLP over HTTP, without"
        " /v1/traces, which servers add, and without credentials, which belong in headers",
        field="endpoint",
    )
    def _endpoint_is_one(self) -> bool:
        matched = re.fullmatch(ENDPOINT, self.endpoint) is not None
        return matched and not self.endpoint.rstrip("/").endswith(TRACES_PATH)

    @rule(
        "!has(self.ca) || !self.endpoint.startsWith('http:')",
        "ca needs an endpoint that begins with https://: with http:// nothing is encrypted or verified",
        field="ca",
    )
    def _authority_is_used(self) -> bool:
        return self.ca is None or not self.endpoint.startswith("http:")
