"""Metrics of one worker."""

from __future__ import annotations

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from realtime_server.core.node import Node
from realtime_server.core.ports.api import Message
from realtime_server.core.server_api import ServerApi
from realtime_server.metrics import registry_of
from tests.kit.server_doubles import connected, make_node, send


def samples(node: Node) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Return every sample by name and labels, as Prometheus reads them."""
    text = generate_latest(registry_of(node, 1)).decode()
    return {
        (sample.name.removeprefix("realtime_server_"), tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


WORKER = (("worker", "1"),)


def test_counts_are_those_of_the_node() -> None:
    """Values are read at the scrape and have the label `worker`."""
    node = make_node()
    connected(node)
    session, _ = connected(node)
    send(session, {"id": 2, "rpc": {}})
    session.on_text(b"{", 0)
    found = samples(node)
    assert found["connections", WORKER] == 1
    assert found["accepted_total", WORKER] == 2
    assert found["command_errors_total", (("code", "108"), *WORKER)] == 1
    assert found["disconnects_total", (("code", "3501"), *WORKER)] == 1


def test_the_roundtrip_through_the_backplane_is_a_histogram() -> None:
    node = make_node()
    node.broker.roundtrips.observe(0.002)
    found = samples(node)
    assert found["backplane_roundtrip_seconds_bucket", (("le", "0.001"), *WORKER)] == 0
    assert found["backplane_roundtrip_seconds_bucket", (("le", "0.0025"), *WORKER)] == 1
    assert found["backplane_roundtrip_seconds_sum", WORKER] == 0.002


async def test_the_time_of_a_publication_is_a_histogram() -> None:
    """Buckets are cumulative and end with infinity."""
    node = make_node()
    await ServerApi(node).publish("open:a", Message(b"1"))
    node.counters.delivery.observe(0.003)
    node.counters.delivery.observe(60)
    found = samples(node)
    assert found["delivery_seconds_bucket", (("le", "0.0025"), *WORKER)] == 1
    assert found["delivery_seconds_bucket", (("le", "0.005"), *WORKER)] == 2
    assert found["delivery_seconds_bucket", (("le", "+Inf"), *WORKER)] == 3
    assert found["delivery_seconds_count", WORKER] == 3
    assert round(found["delivery_seconds_sum", WORKER], 3) == 60.003
