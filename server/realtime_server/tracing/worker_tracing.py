"""A worker's tracing: the SDK's parts put together, and their end."""

from __future__ import annotations

import os
import socket
from importlib.metadata import version

from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.util.types import AnyValue

from realtime_server import settings as configuration
from realtime_server.tracing.exporter import BoundedProcessor, CountingExporter, ExportUsage, otlp_exporter, stop_within
from realtime_server.tracing.sampler import BoundedSampler
from realtime_server.tracing.spans import SpanTracing
from realtime_server.tracing.tracing_metrics import TracingCollector
from realtime_server.tracing_settings import Tracing

STOP_SECONDS = 3.0
"""Time for the collector to take what is left when a worker ends."""
DISTRIBUTION = "realtime-operator"


class WorkerTracing:
    """Exporter of a worker's spans, and what makes them.

    To be made in the worker, because it starts a thread, which no fork copies.
    """

    def __init__(self, settings: Tracing, workers: int, index: int) -> None:
        self.usage = ExportUsage()
        self.sampler = BoundedSampler(settings.max_traces_per_second / workers)
        self._exporter = CountingExporter(otlp_exporter(settings), self.usage, settings.endpoint)
        self._processor = BoundedProcessor(self._exporter, self.usage)
        provider = TracerProvider(sampler=self.sampler, resource=resource_of(settings, index), shutdown_on_exit=False)
        provider.add_span_processor(self._processor)
        self.spans = SpanTracing(provider, version(DISTRIBUTION), settings.sampling_rate_per_million)

    def collector(self, index: int) -> TracingCollector:
        """Return the collector of its metrics."""
        return TracingCollector(self.usage, self.sampler, index)

    def stop(self) -> None:
        """Export what waits for at most STOP_SECONDS. Blocks."""
        stop_within(self._processor, self._exporter, STOP_SECONDS)


def resource_of(settings: Tracing, index: int) -> Resource:
    """Return the attributes of all spans of a worker; OTEL_RESOURCE_ATTRIBUTES and OTEL_SERVICE_NAME override them."""
    name, namespace = configuration.server_name(), settings.service_namespace
    attributes: dict[str, AnyValue] = {
        "service.name": settings.service_name,
        "service.version": version(DISTRIBUTION),
        "service.instance.id": f"{name}/{index}",
        "host.name": socket.gethostname(),
        "process.pid": os.getpid(),
        "realtime.worker": index,
        **({"realtime.revision": configuration.revision()} if configuration.revision() else {}),
        **({"service.namespace": namespace} if namespace else {}),
    }
    if "KUBERNETES_SERVICE_HOST" in os.environ:  # set in every container of a pod
        attributes |= {"k8s.pod.name": name, **({"k8s.namespace.name": namespace} if namespace else {})}
    return Resource.create(attributes).merge(OTELResourceDetector().detect())
