"""Prometheus metrics of one worker, read from plain counters at each scrape."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry

from realtime_server.core.metrics.counters import LatencyHistogram
from realtime_server.core.node import Node, count_subscriptions
from realtime_server.socket_io.emitter_inbox import EmitterFormat
from realtime_server.transports.client_port import ClientPort
from realtime_server.transports.tls import Certificate

PREFIX = "realtime_server_"


class WorkerCollector(Collector):
    """Base of collectors whose metrics have the label `worker`."""

    def __init__(self, worker: int) -> None:
        self._worker = str(worker)

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(PREFIX + name, text, labels=["worker"])
        family.add_metric([self._worker], value)
        return family

    def _counter(self, name: str, text: str, value: float) -> Metric:
        family = CounterMetricFamily(PREFIX + name, text, labels=["worker"])
        family.add_metric([self._worker], value)
        return family


class NodeCollector(WorkerCollector):
    """Collector of all metrics of a node."""

    def __init__(self, node: Node, worker: int) -> None:
        super().__init__(worker)
        self._node = node

    def collect(self) -> Iterator[Metric]:
        """Yield the current value of each metric."""
        node, counters = self._node, self._node.counters
        yield self._gauge("connections", "Current connections.", len(node.sessions))
        yield self._gauge(
            "subscriptions", "Current subscriptions of all connections.", count_subscriptions(node.sessions)
        )
        yield self._gauge("channels", "Channels with at least one subscriber on this worker.", len(node.hub.channels))
        yield self._gauge(
            "backplane_healthy", "1 while publications are known to reach other servers.", int(node.broker.healthy)
        )
        text = "1 in the development mode, in which every client may do everything."
        yield self._gauge("tokens_ignored", text, int(node.ignores_tokens))
        usage = resource.getrusage(resource.RUSAGE_SELF)
        yield self._counter("cpu_seconds", "CPU time of the worker's process.", usage.ru_utime + usage.ru_stime)
        yield self._gauge("memory_bytes", "Resident memory of the worker's process.", _resident_bytes())
        yield self._counter("accepted", "Connections accepted.", counters.accepted)
        yield self._counter("connects", "Connect commands answered with a result.", counters.connects)
        yield self._labelled(
            "connects_failed", "Connects that were refused or ended before their answer, by code.", "code",
            counters.connects_failed,
        )  # fmt: skip
        yield self._counter("messages_received", "Messages from clients.", counters.messages_received)
        yield self._counter("bytes_received", "Bytes from clients.", counters.bytes_received)
        yield self._counter("publications", "Publications accepted by this worker.", counters.publications)
        revocations = node.revoker.revocations
        yield self._gauge("revocations", "Token revocations that are currently stored.", len(revocations))
        yield self._counter("revoked_tokens_refused", "Tokens refused because they are revoked.", revocations.refused)
        yield self._counter("drains", "Drains started.", counters.drains)
        yield self._counter(
            "drained_connections", "Connections moved by drains and sheds.", counters.drained_connections
        )
        yield self._counter(
            "backplane_gaps",
            "Number of times that publications between servers may have been lost.",
            counters.backplane_gaps,
        )
        yield self._labelled(
            "handshakes_rejected", "Handshakes refused, by reason.", "reason", counters.handshakes_rejected
        )
        yield self._labelled("disconnects", "Connections closed, by code.", "code", counters.disconnects)
        limits = {str(limit): count for limit, count in counters.limits_exceeded()}
        yield self._labelled("limit_exceeded", "Times that a limit was exceeded, by limit.", "limit", limits)
        yield self._labelled("command_errors", "Commands that failed, by code.", "code", counters.command_errors)
        recoveries = {str(recovered).lower(): count for recovered, count in counters.recoveries.items()}
        yield self._labelled("recoveries", "Recoveries, by whether all was recovered.", "recovered", recoveries)
        yield self._labelled(
            "publications_dropped", "Publications that a slow client did not get, by policy.", "policy",
            counters.publications_dropped,
        )  # fmt: skip
        yield self._histogram(
            "delivery_seconds", "Time from accepting a publication until the backplane has it.", counters.delivery
        )
        yield self._histogram(
            "backplane_roundtrip_seconds",
            "Round-trip time of a message that this worker publishes to itself.",
            node.broker.roundtrips,
        )

    def _labelled(self, name: str, text: str, label: str, values: Mapping[str, int] | Mapping[int, int]) -> Metric:
        family = CounterMetricFamily(PREFIX + name, text, labels=["worker", label])
        for value, count in values.items():
            family.add_metric([self._worker, str(value)], count)
        return family

    def _histogram(self, name: str, text: str, histogram: LatencyHistogram) -> Metric:
        family = HistogramMetricFamily(PREFIX + name, text, labels=["worker"])
        family.add_metric([self._worker], histogram.cumulative(), histogram.total)
        return family


def _resident_bytes() -> int:
    """Return the resident set size in bytes (proc(5), statm, second field); every worker counts the pages it shares."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


class ClientPortCollector(WorkerCollector):
    """Collector of the metrics of the port for clients."""

    def __init__(self, port: ClientPort, worker: int) -> None:
        super().__init__(worker)
        self._port = port

    def collect(self) -> Iterator[Metric]:
        """Yield the current value of each metric."""
        yield self._gauge(
            "sockets",
            "Open sockets of clients, including those that do not carry a connection.",
            self._port.sockets.open,
        )
        yield self._gauge("connections_limit", "Connections that this worker accepts.", self._port.max_connections)
        flusher = self._port.flusher
        yield self._gauge("outbox_bytes", "Bytes that wait to be sent to clients.", flusher.bytes_waiting)
        yield self._counter("messages_sent", "Messages to clients.", flusher.messages_sent)
        yield self._counter("bytes_sent", "Bytes to clients.", flusher.bytes_sent)
        if self._port.certificate is not None:
            text = "Expiry of the first certificate in the chain, as a Unix time."
            yield self._gauge("tls_certificate_expiry_timestamp_seconds", text, self._port.certificate.expires_at)


class ApiPortCollector(WorkerCollector):
    """Collector of the metrics of the port of the API with TLS."""

    def __init__(self, certificate: Certificate, worker: int) -> None:
        super().__init__(worker)
        self._certificate = certificate

    def collect(self) -> Iterator[Metric]:
        """Yield the current value of each metric."""
        text = "Expiry of the first certificate in the chain of the API's port, as a Unix time."
        yield self._gauge("api_tls_certificate_expiry_timestamp_seconds", text, self._certificate.expires_at)


class EmitterCollector(WorkerCollector):
    """Collector of the metrics of what backends emit over Redis."""

    def __init__(
        self,
        received: Mapping[tuple[EmitterFormat, str], int],
        refused: Mapping[tuple[EmitterFormat, str], int],
        is_connected: Callable[[], bool],
        worker: int,
    ) -> None:
        super().__init__(worker)
        self._received = received
        self._refused = refused
        self._is_connected = is_connected

    def collect(self) -> Iterator[Metric]:
        """Yield the current value of each metric."""
        text = "1 while messages of emitters are received."
        yield self._gauge("emitters_connected", text, int(self._is_connected()))
        text = "Messages of emitters that this worker received and understood, by format and kind."
        yield self._by_format("emitter_messages", text, "kind", self._received)
        text = "Messages of emitters that this worker received and did not carry out, by format and reason."
        yield self._by_format("emitter_refused", text, "reason", self._refused)

    def _by_format(self, name: str, text: str, label: str, values: Mapping[tuple[EmitterFormat, str], int]) -> Metric:
        family = CounterMetricFamily(PREFIX + name, text, labels=["worker", "format", label])
        for (kind, value), count in values.items():
            family.add_metric([self._worker, str(kind), str(value)], count)
        return family


def registry_of(node: Node, worker: int) -> CollectorRegistry:
    """Return a registry with the metrics of one worker's node."""
    registry = CollectorRegistry()
    registry.register(NodeCollector(node, worker))
    return registry
