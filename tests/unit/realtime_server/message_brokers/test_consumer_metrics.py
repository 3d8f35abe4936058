"""Tests of the metrics of consumers."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from realtime_server.message_brokers.consumer_metrics import ConsumerCollector
from realtime_server.message_brokers.queue_consumer import QueueConsumer
from tests.unit.realtime_server.message_brokers.test_queue_consumer import MAPPING, ScriptedExecutor, ScriptedQueue


async def test_each_consumer_has_its_metrics() -> None:
    """The depth of its queue only while it is known."""
    consumer = QueueConsumer("main/orders", ScriptedQueue(), MAPPING, ScriptedExecutor(), lambda: True)
    usage = consumer.usage
    usage.outcomes.update(accepted=3, dead_lettered=1)
    usage.retries, usage.redelivered, usage.unanswered, usage.connected = 2, 4, 5, True
    usage.seconds.observe(0.002)
    registry = CollectorRegistry()
    registry.register(ConsumerCollector([consumer], 1))
    text = generate_latest(registry).decode()
    for line in (
        'messages_total{outcome="accepted",queue="main/orders",worker="1"} 3.0',
        'messages_total{outcome="dead_lettered",queue="main/orders",worker="1"} 1.0',
        'redelivered_total{queue="main/orders",worker="1"} 4.0',
        'retries_total{queue="main/orders",worker="1"} 2.0',
        'connected{queue="main/orders",worker="1"} 1.0',
        'unanswered{queue="main/orders",worker="1"} 5.0',
        'seconds_bucket{le="0.0025",queue="main/orders",worker="1"} 1.0',
    ):
        assert f"realtime_server_consumer_{line}" in text
    assert "realtime_server_consumer_ready{" not in text
    usage.depth = 9
    assert 'realtime_server_consumer_ready{queue="main/orders",worker="1"} 9.0' in generate_latest(registry).decode()
