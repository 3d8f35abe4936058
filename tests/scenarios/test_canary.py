"""Scenarios of a canary: a fault that only new clients meet, and a change that does well."""

from __future__ import annotations

import json

from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import text_at
from tests.kit.accounting import settle
from tests.kit.api import publishing
from tests.kit.clients import Channel, ClientOptions, all_connected, all_subscribed
from tests.kit.document import dig, parse
from tests.kit.kube import condition
from tests.kit.running_cluster import (
    RunningCluster,
    available_servers,
    every_server_is_reached,
    manifest,
    wait_for_servers,
)
from tests.kit.sdk import JavaScriptClients
from tests.kit.traffic import assert_nothing_lost, traffic

NOBODY_LISTENS = "http://127.0.0.1:9/connect"
CHANNEL = "chat:canary"
SERVERS, CLIENTS = 3, 45


def rollout(*steps: JsonObject) -> JsonObject:
    """Return `spec.rollout` with these steps."""
    drain = {"connectionsPerSecond": 20, "settle": "1s"}
    return parse(json.dumps({"maxSurge": 1, "drain": drain, "canary": {"steps": steps}}))


async def options_of(cluster: RunningCluster) -> ClientOptions:
    """Return options of clients without tokens, about whom a connect hook decides."""
    return ClientOptions(
        endpoints=[await cluster.url()],
        count=CLIENTS,
        channels=[Channel(CHANNEL, recoverable=True)],
        min_reconnect_delay=0.1,
        max_reconnect_delay=1.0,
    )


async def test_a_connect_hook_whose_backend_is_down_is_rolled_back_in_the_first_step(cluster: RunningCluster) -> None:
    """The clients of at most one old server are ever moved; all get every message; the failed spec is not tried again.

    Without a canary all but the last old server are drained: see test_brakes.
    """
    steps = rollout({"share": "30%", "hold": "5s"}, {"share": "60%", "hold": "5s"})
    await cluster.apply(manifest("main", replicas=SERVERS, auth={"anonymous": "Allow"}, rollout=steps))
    before = text_at(await cluster.wait_ready(), "status", "currentRevision")
    await every_server_is_reached(cluster)  # the gate sees nobody refused when an empty one is drained
    async with (
        JavaScriptClients(await options_of(cluster)) as clients,
        await cluster.api() as api,
    ):
        await all_subscribed(clients, within=30)
        old = await cluster.connections()
        async with publishing(api, CHANNEL, per_second=20) as publisher:
            await cluster.patch(hooks={"connect": {"url": NOBODY_LISTENS}})
            failed = await cluster.wait(
                lambda o: text_at(o, "status", "canary", "phase") == "RolledBack", what="a rollback", within=90
            )
            assert text_at(failed, "status", "canary", "failedGate") == "Connects", failed["status"]
            assert dig(failed, "status", "canary", "step") == 1
            over = await cluster.wait(
                lambda o: condition(o, "Progressing").get("reason") == "GateFailed", what="all is back", within=90
            )
            assert text_at(over, "status", "currentRevision") == text_at(over, "status", "targetRevision") == before
            assert condition(over, "Degraded").get("reason") == "GateFailed"
            await wait_for_servers(
                cluster, lambda now: {s.revision for s in now} == {before}, what="the former servers", within=30
            )
            assert len(await available_servers(cluster)) == SERVERS
            await all_connected(clients, within=30)
            await all_subscribed(clients, within=30)
            await publisher.stop()
            balance = await settle(clients, publisher, within=10)
        moved = {event.client for event in clients.record.lost_connections()}
        assert len(moved) <= max(old.values()), f"{len(moved)} clients were moved; servers had {old}"
        assert balance.exact, balance.describe()
        assert all(event.recovered for event in clients.record.recoveries())
    told = [event.reason for event in await cluster.events()]
    assert "CanaryStepStarted" in told
    assert "GateFailed" in told
    await cluster.patch(hooks=None)
    await cluster.wait_ready()


async def test_a_change_that_does_well_passes_its_steps(cluster: RunningCluster) -> None:
    """The new server holds beside the old one, then all are replaced, and nothing is lost."""
    await cluster.apply(manifest("main", replicas=2, rollout=rollout({"share": "50%", "hold": "2s"})))
    before = text_at(await cluster.wait_ready(), "status", "currentRevision")
    async with traffic(cluster) as running:
        await cluster.patch(server={"limits": {"messagesPerSecond": 200}})
        after = await cluster.wait(
            lambda o: text_at(o, "status", "currentRevision") not in {"", before}, what="the new revision", within=120
        )
        await assert_nothing_lost(running)
    assert text_at(after, "status", "currentRevision") == text_at(after, "status", "targetRevision")
    assert dig(await cluster.wait_ready(), "status", "canary") is None
    told = [event.reason for event in await cluster.events()]
    assert [reason for reason in told if reason.startswith("Canary")] == ["CanaryStepStarted", "CanaryPassed"]
