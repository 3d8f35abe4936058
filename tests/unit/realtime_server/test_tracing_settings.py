"""Settings of tracing."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from realtime_server.tracing_settings import Tracing


@pytest.mark.parametrize("endpoint", ["http://collector:4318", "https://collector/otlp/", "http://[::1]:4318"])
def test_the_endpoint_is_the_base_of_all_signals(endpoint: str) -> None:
    assert Tracing(endpoint=endpoint).endpoint == endpoint


@pytest.mark.parametrize(
    ("endpoint", "why"),
    [
        ("collector:4317", "pattern"),
        ("grpc://collector:4317", "pattern"),
        ("http://collector:4318/?key=1", "pattern"),
        ("http://collector:4318/v1/traces", "without /v1/traces, which is added"),
        ("http://collector:4318/v1/traces/", "without /v1/traces, which is added"),
    ],
)
def test_another_endpoint_is_refused(endpoint: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        Tracing(endpoint=endpoint)
