"""The part of the server's configuration that describes distributed tracing."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_server import SecretKeySelector
from realtime_operator.api.v1alpha1_tracing import Tracing

CA_FILE = "ca.pem"


def tracing_config(cluster: RealtimeCluster) -> JsonValue:
    """Build the configuration of tracing, None when it is off. The cluster is the service that the spans are of."""
    tracing = cluster.spec.tracing
    if tracing is None:
        return None
    headers: list[JsonValue] = [
        {"name": header.name, "file": f"{naming.TRACING_DIRECTORY}/{_header_file(index)}"}
        for index, header in enumerate(tracing.headers)
    ]
    config: JsonObject = {
        "endpoint": tracing.endpoint,
        "sampling_rate_per_million": tracing.sampling_rate_per_million,
        "max_traces_per_second": tracing.max_traces_per_second,
        "headers": headers,
        "ca_file": None if tracing.ca is None else f"{naming.TRACING_DIRECTORY}/{CA_FILE}",
        "service_name": cluster.metadata.name,
        "service_namespace": cluster.metadata.namespace,
    }
    return config


def tracing_files(tracing: Tracing | None) -> dict[str, SecretKeySelector]:
    """Return the Secret keys to mount for tracing, by file name."""
    if tracing is None:
        return {}
    files = {_header_file(index): header.secret_key_ref for index, header in enumerate(tracing.headers)}
    return files if tracing.ca is None else {**files, CA_FILE: tracing.ca.secret_key_ref}


def _header_file(index: int) -> str:
    return f"header-{index}"
