"""Usage of the server API: plain counters, and Prometheus metrics read from them at each scrape."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from realtime_server.core.metrics.counters import LatencyHistogram

PREFIX = "realtime_server_api_"
UNKNOWN = "unknown"
"""Label value that stands for every unknown method, so that callers cannot create time series."""
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds of the latency histogram in seconds."""


class ApiUsage:
    """Counters of one worker's API calls, for the given method names.

    `requests` by method and HTTP status, commands of a batch included; `errors` by method and error code; `seconds` of
    whole requests by method.
    """

    def __init__(self, methods: Iterable[str]) -> None:
        self._methods = frozenset(methods)
        self.requests: Counter[tuple[str, int]] = Counter()
        self.errors: Counter[tuple[str, int]] = Counter()
        self.seconds: dict[str, LatencyHistogram] = {}

    def count(self, method: str, status: int) -> None:
        """Count an answered call."""
        self.requests[self.name_of(method), status] += 1

    def fail(self, method: str, code: int) -> None:
        """Count a call that failed with an error code of the catalogue."""
        self.errors[self.name_of(method), code] += 1

    def observe(self, method: str, seconds: float) -> None:
        """Record the duration of a request in seconds."""
        name = self.name_of(method)
        if name not in self.seconds:
            self.seconds[name] = LatencyHistogram(BUCKETS)
        self.seconds[name].observe(seconds)

    def name_of(self, method: str) -> str:
        """Return the method's name, UNKNOWN for one that is not among the given ones."""
        return method if method in self._methods else UNKNOWN


class ApiCollector(Collector):
    """Collector of a worker's API metrics, with the labels `worker` and `method`."""

    def __init__(self, usage: ApiUsage, worker: int) -> None:
        self._usage = usage
        self._worker = str(worker)

    def collect(self) -> Iterator[Metric]:
        """Yield the current value of each metric."""
        yield self._counter("requests", "Calls of the server API, by HTTP status.", "status", self._usage.requests)
        yield self._counter("errors", "Calls that failed, by the code in the answer.", "code", self._usage.errors)
        seconds = HistogramMetricFamily(
            PREFIX + "seconds", "Time from a request to its answer.", labels=["worker", "method"]
        )
        for method, histogram in self._usage.seconds.items():
            seconds.add_metric([self._worker, method], histogram.cumulative(), histogram.total)
        yield seconds

    def _counter(self, name: str, text: str, label: str, values: Counter[tuple[str, int]]) -> Metric:
        family = CounterMetricFamily(PREFIX + name, text, labels=["worker", "method", label])
        for (method, value), count in values.items():
            family.add_metric([self._worker, method, str(value)], count)
        return family
