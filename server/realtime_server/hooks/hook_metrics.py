"""Prometheus metrics of one worker's hooks, read from plain counters at each scrape."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from realtime_server.hooks.breaker import BreakerState
from realtime_server.hooks.endpoint import Endpoint
from realtime_server.hooks.http_backend import HttpBackend

PREFIX = "realtime_server_hook_"
EVENTS = "events"
"""Value of the label `hook` for requests that deliver events."""


class HookCollector(Collector):
    """Collector of all metrics of a worker's hooks, with the labels `worker` and `hook`.

    `routes` returns the endpoints of routes, whose value of `hook` is `ROUTE/ACTION`.
    """

    def __init__(
        self,
        backend: HttpBackend,
        worker: int,
        *,
        routes: Callable[[], Iterable[tuple[str, Endpoint]]] = tuple,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._backend = backend
        self._routes = routes
        self._worker = str(worker)
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Yield the current value of each metric."""
        requests = CounterMetricFamily(
            PREFIX + "requests", "Requests to the backend, by outcome.",
            labels=["worker", "hook", "outcome"],
        )  # fmt: skip
        seconds = HistogramMetricFamily(
            PREFIX + "seconds", "Time of a request, including the wait before it is sent.", labels=["worker", "hook"]
        )
        in_flight = GaugeMetricFamily(
            PREFIX + "in_flight", "Requests that run or wait to be sent.", labels=["worker", "hook"]
        )
        breaker = GaugeMetricFamily(
            PREFIX + "breaker_open", "1 while the circuit breaker is open and no requests are sent.",
            labels=["worker", "hook"],
        )  # fmt: skip
        for hook, endpoint in self._endpoints():
            labels = [self._worker, hook]
            for outcome, count in endpoint.usage.outcomes.items():
                requests.add_metric([*labels, outcome.value], count)
            seconds.add_metric(labels, endpoint.usage.seconds.cumulative(), endpoint.usage.seconds.total)
            in_flight.add_metric(labels, endpoint.usage.in_flight)
            breaker.add_metric(labels, int(endpoint.breaker.state(self._clock()) is not BreakerState.CLOSED))
        yield from (requests, seconds, in_flight, breaker)
        events = CounterMetricFamily(
            PREFIX + "events",
            "Events that were delivered, or dropped because the queue was full.",
            labels=["worker", "outcome"],
        )
        if self._backend.events is not None:
            for kind in ("delivered", "dropped"):
                events.add_metric([self._worker, kind], self._backend.events.outcomes[kind])
        yield events

    def _endpoints(self) -> Iterator[tuple[str, Endpoint]]:
        for hook, found in self._backend.hooks.items():
            yield hook.value, found.endpoint
        if self._backend.events is not None:
            yield EVENTS, self._backend.events.endpoint
        yield from self._routes()
