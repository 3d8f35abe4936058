"""Prometheus metrics of the keys from an identity provider."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from realtime_server.keys.remote_keys import PublishedKeys

PREFIX = "realtime_server_jwks_"


class KeysCollector(Collector):
    """Collector of the number and age of the keys and the outcomes of fetching them, with the label `worker`."""

    def __init__(self, keys: PublishedKeys, worker: int) -> None:
        self._keys = keys
        self._worker = str(worker)

    def collect(self) -> Iterator[Metric]:
        """Yield the current value of each metric."""
        known = GaugeMetricFamily(
            PREFIX + "keys", "Keys of the identity provider that are used to verify tokens.", labels=["worker"]
        )
        known.add_metric([self._worker], len(self._keys.known))
        yield known
        age = GaugeMetricFamily(
            PREFIX + "age_seconds", "Time since the keys of the identity provider were last read.", labels=["worker"]
        )
        age.add_metric([self._worker], self._keys.age)
        yield age
        fetches = CounterMetricFamily(
            PREFIX + "fetches", "Attempts to read the keys of the identity provider.", labels=["worker", "outcome"]
        )
        for outcome in ("ok", "failed"):
            fetches.add_metric([self._worker, outcome], self._keys.outcomes[outcome])
        yield fetches
