"""Prometheus metrics of one worker's consumers, read from plain counters at each scrape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from realtime_server.message_brokers.queue_consumer import QueueConsumer

PREFIX = "realtime_server_consumer_"
LABELS = ["worker", "queue"]


class ConsumerCollector(Collector):
    """Collector of all metrics of a worker's consumers, with the labels `worker` and `queue`, which is BROKER/QUEUE."""

    def __init__(self, consumers: Sequence[QueueConsumer], worker: int) -> None:
        self._consumers = consumers
        self._worker = str(worker)

    def collect(self) -> Iterator[Metric]:
        """Yield the current value of each metric."""
        messages = CounterMetricFamily(
            PREFIX + "messages", "Messages that were answered, by outcome.", labels=[*LABELS, "outcome"]
        )
        redelivered = CounterMetricFamily(
            PREFIX + "redelivered", "Messages that had been delivered before.", labels=LABELS
        )
        retries = CounterMetricFamily(
            PREFIX + "retries", "Further attempts of messages that had failed.", labels=LABELS
        )
        connected = GaugeMetricFamily(
            PREFIX + "connected", "1 while the queue can deliver to this worker.", labels=LABELS
        )
        unanswered = GaugeMetricFamily(
            PREFIX + "unanswered", "Messages that were delivered and wait for their answer.", labels=LABELS
        )
        ready = GaugeMetricFamily(PREFIX + "ready", "Messages that wait in the queue, some seconds ago.", labels=LABELS)
        seconds = HistogramMetricFamily(
            PREFIX + "seconds", "Time from the delivery of a message to its answer.", labels=LABELS
        )
        for consumer in self._consumers:
            labels, usage = [self._worker, consumer.name], consumer.usage
            for outcome in ("accepted", "dead_lettered"):
                messages.add_metric([*labels, outcome], usage.outcomes[outcome])
            redelivered.add_metric(labels, usage.redelivered)
            retries.add_metric(labels, usage.retries)
            connected.add_metric(labels, int(usage.connected))
            unanswered.add_metric(labels, usage.unanswered)
            if usage.depth is not None:
                ready.add_metric(labels, usage.depth)
            seconds.add_metric(labels, usage.seconds.cumulative(), usage.seconds.total)
        yield from (messages, redelivered, retries, connected, unanswered, ready, seconds)
