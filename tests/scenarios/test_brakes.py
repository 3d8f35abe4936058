"""Scenario of a harmful rollout that stops with a reason and continues by itself."""

from __future__ import annotations

from tests.kit.clients import Channel, ClientOptions, all_connected
from tests.kit.document import dig, text_at
from tests.kit.kube import condition
from tests.kit.running_cluster import RunningCluster, available_servers, every_server_is_reached, manifest
from tests.kit.sdk import JavaScriptClients

NOBODY_LISTENS = "http://127.0.0.1:9/connect"
CLIENTS = 40


async def test_clients_are_not_moved_to_servers_that_refuse_them(cluster: RunningCluster) -> None:
    """The backend of the connect hook is down: the last old server stays, and all clients reach it.

    When the hook is removed again, all clients are still connected.
    """
    await cluster.apply(manifest("main", replicas=2, auth={"anonymous": "Allow"}))
    before = await cluster.wait_ready()
    await every_server_is_reached(cluster)  # nobody is refused by the drain of an empty one
    options = ClientOptions(
        endpoints=[await cluster.url()],
        count=CLIENTS,
        channels=[Channel("chat:brakes", recoverable=True)],
        min_reconnect_delay=0.1,
        max_reconnect_delay=1.0,
    )
    async with JavaScriptClients(options) as clients:
        await all_connected(clients, within=30)
        await cluster.patch(hooks={"connect": {"url": NOBODY_LISTENS}})
        held = await cluster.wait(
            lambda o: condition(o, "Degraded").get("reason") == "MovedNotArriving", what="moves are held", within=90
        )
        assert condition(held, "Progressing").get("reason") == "MovesHeld"
        assert text_at(held, "status", "hold", "reason") == "MovedNotArriving"
        assert "code" in text_at(held, "status", "hold", "message"), "it says why connects fail"
        await all_connected(clients, within=30)
        old = text_at(before, "status", "currentRevision")
        assert [s.revision for s in await available_servers(cluster)].count(old) >= 1
        await cluster.patch(hooks=None)
        after = await cluster.wait_ready(within=90)
        assert dig(after, "status", "currentRevision") == old
        assert "hold" not in after["status"]  # type: ignore[operator] # an object
        await all_connected(clients, within=30)
    reasons = [event.reason for event in await cluster.events()]
    assert "MovesHeld" in reasons
