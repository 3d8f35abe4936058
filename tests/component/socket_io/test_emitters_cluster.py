"""Backends that emit over a Redis Cluster, whose nodes pass on what is published, and of which one has the stream."""

from __future__ import annotations

import pytest

from tests.component.socket_io.test_emitters import WITH_EMITTERS, clients_of
from tests.kit.deadline import eventually
from tests.kit.emitters import NodeEmitter
from tests.kit.redis_cluster import running_cluster
from tests.kit.server_process import ServerProcess
from tests.kit.socket_io import SocketRecord

pytestmark = pytest.mark.asyncio(loop_scope="module")
EVENTS = 20


async def test_every_client_gets_an_event_once() -> None:
    """Those of a stream come in their order; others need not, as the emitter publishes each at any node."""
    with running_cluster() as cluster:
        urls = [f"redis://{address}" for address in cluster.addresses]
        async with (
            ServerProcess("a", cluster, protocols=WITH_EMITTERS) as one,
            ServerProcess("b", cluster, protocols=WITH_EMITTERS) as other,
            clients_of((one, other)) as clients,
            NodeEmitter("emitter", urls) as emitter,
            NodeEmitter("streams", urls) as streams,
        ):
            for number in range(EVENTS):
                await emitter.emit("published", number, namespace="/chat", to=["both"])
                await streams.emit("added", number, namespace="/chat", to=["both"])
            for client in clients:
                record = client.records[1]
                await _arrived(record, 2 * EVENTS)
                got = {
                    name: [args for event, args in record.events if event == name] for name in ("published", "added")
                }
                expected = [[number] for number in range(EVENTS)]
                assert got["added"] == expected
                assert sorted(got["published"], key=str) == sorted(expected, key=str)


async def _arrived(record: SocketRecord, number: int) -> None:
    async def read() -> int:
        return len(record.events)

    await eventually(read, lambda now: now >= number, what=f"{number} events", within=15, every=0.01)
