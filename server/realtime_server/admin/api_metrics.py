"""How the server API is used: plain counters, and Prometheus metrics read from them when they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from realtime_server.core.metrics.counters import LatencyHistogram

PREFIX = "realtime_server_api_"
UNKNOWN = "unknown"
"""All names that callers invent are one."""
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Upper bounds in seconds."""


class ApiUsage:
    """What is counted of the calls of one worker, by the names of these methods.

    `requests` by HTTP status, also each command of a batch; `errors` by the code in the answer; `seconds` of whole
    requests.
    """

    def __init__(self, methods: Iterable[str]) -> None:
        self._methods = frozenset(methods)
        self.requests: Counter[tuple[str, int]] = Counter()
        self.errors: Counter[tuple[str, int]] = Counter()
        self.seconds: dict[str, LatencyHistogram] = {}

    def count(self, method: str, status: int) -> None:
        """A call was answered."""
        self.requests[self._name(method), status] += 1

    def fail(self, method: str, code: int) -> None:
        """A call has failed with a code of the catalogue."""
        self.errors[self._name(method), code] += 1

    def observe(self, method: str, seconds: float) -> None:
        """A request took so long."""
        name = self._name(method)
        if name not in self.seconds:
            self.seconds[name] = LatencyHistogram(BUCKETS)
        self.seconds[name].observe(seconds)

    def _name(self, method: str) -> str:
        return method if method in self._methods else UNKNOWN


class ApiCollector(Collector):
    """All metrics of the API of a worker, with the labels `worker` and `method`."""

    def __init__(self, usage: ApiUsage, worker: int) -> None:
        self._usage = usage
        self._worker = str(worker)

    def collect(self) -> Iterator[Metric]:
        """What is now."""
        yield self._counter("requests", "Calls of the server API, by HTTP status.", "status", self._usage.requests)
        yield self._counter("errors", "Calls that failed, by the code in the answer.", "code", self._usage.errors)
        seconds = HistogramMetricFamily(
            PREFIX + "seconds", "From a request to its answer.", labels=["worker", "method"]
        )
        for method, histogram in self._usage.seconds.items():
            seconds.add_metric([self._worker, method], histogram.cumulative(), histogram.total)
        yield seconds

    def _counter(self, name: str, text: str, label: str, values: Counter[tuple[str, int]]) -> Metric:
        family = CounterMetricFamily(PREFIX + name, text, labels=["worker", "method", label])
        for (method, value), count in values.items():
            family.add_metric([self._worker, method, str(value)], count)
        return family
