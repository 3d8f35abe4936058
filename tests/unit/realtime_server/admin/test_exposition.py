"""Merging of several expositions into one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from realtime_server.admin.exposition import merge


def exposition_of(worker: int) -> str:
    """Return the exposition of a worker."""
    registry = CollectorRegistry()
    Gauge("connections", "Now.", ["worker"], registry=registry).labels(str(worker)).set(10 + worker)
    counter = Counter("messages", 'With "quotes" and \\.', ["worker", "kind"], registry=registry)
    counter.labels(str(worker), 'a"b\nc').inc(worker + 1)
    Histogram("seconds", "Took.", ["worker"], buckets=(0.1, 1), registry=registry).labels(str(worker)).observe(0.5)
    return generate_latest(registry).decode()


def test_every_family_is_there_once_with_the_samples_of_all() -> None:
    """Each family occurs once, as a repeated family would make the exposition invalid."""
    merged = merge([exposition_of(0), exposition_of(1)], []).decode()
    assert merged.count("# TYPE connections gauge") == 1
    assert merged.count("# HELP messages_total") == 1
    families = {family.name: family for family in text_string_to_metric_families(merged)}
    assert {sample.labels["worker"]: sample.value for sample in families["connections"].samples} == {"0": 10, "1": 11}
    counts = [sample for sample in families["messages"].samples if sample.name == "messages_total"]
    assert [(sample.labels["kind"], sample.value) for sample in counts] == [('a"b\nc', 1), ('a"b\nc', 2)]
    buckets = [sample for sample in families["seconds"].samples if sample.name == "seconds_bucket"]
    assert len(buckets) == 6


def test_the_supervisors_own_are_added() -> None:
    """The supervisor's own metrics have no worker label."""
    restarts = CounterMetricFamily("restarts", "Restarts.", value=3)
    assert "\nrestarts_total 3.0\n" in merge([exposition_of(0)], [restarts]).decode()


def test_without_workers_only_those_are_left() -> None:
    """Without any worker the supervisor's metrics remain."""
    assert merge([], []) == b""
