"""Merging of the Prometheus expositions of several workers: each family once, with the samples of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector, CollectorRegistry

__all__ = ["CONTENT_TYPE", "merge"]


class _Merged(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        yield from self._families


def merge(expositions: Sequence[str], more: Sequence[Metric]) -> bytes:
    """Return one exposition of all samples, of the expositions and of `more`, grouped by family."""
    families: dict[str, Metric] = {}
    for exposition in expositions:
        for family in text_string_to_metric_families(exposition):
            known = families.setdefault(family.name, family)
            if known is not family:
                known.samples.extend(family.samples)
    registry = CollectorRegistry()
    registry.register(_Merged([*families.values(), *more]))
    return generate_latest(registry)
