"""Scenario of a cluster that comes back in another namespace under another name."""

from __future__ import annotations

import os
from pathlib import Path

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.kit.api import ServerApi
from tests.kit.cluster.environment import Environment
from tests.kit.document import dig, objects_at
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.live_cluster import LiveCluster
from tests.kit.raw_client import raw_client
from tests.kit.realtime_command import realtime, realtime_within
from tests.kit.running_cluster import manifest

CHANNEL = "chat:lobby"


async def test_a_cluster_comes_back_in_another_namespace(
    scenario: Scenario, environment: Environment, tmp_path: Path
) -> None:
    """A backend and a client use the keys and tokens of the first cluster, which is gone; the client recovers."""
    first, file, histories = scenario.cluster(), str(tmp_path / "main.yaml"), str(tmp_path / "main.history")
    await first.apply(manifest("main", replicas=1))
    await first.wait_ready()
    other = scenario.kube.within(f"{scenario.kube.namespace}-other")
    await other.create_namespace()
    variables = {**os.environ, "KUBECONFIG": str(environment.kubeconfig)}
    key, token = await first.credential(naming.KEY_API), await first.token("alice")
    try:
        since = await published(first, token, "one", "two", "three")
        parts = ("--secrets", "all", "-f", file, "--history", histories)
        exported = await realtime("export", *parts, "-n", first.kube.namespace, **variables)
        assert (exported.code, "the histories of 1 channels" in exported.stderr) == (0, True), exported
        await first.kube.kubectl("delete", "realtimecluster", "main", "--wait=false")
        both = ("-f", file, "--history", histories, "--name", "copy", "--timeout", "120")
        imported = await realtime_within(150, "import", *both, "-n", other.namespace, **variables)
        assert (imported.code, "1 histories are imported" in imported.stderr) == (0, True), imported
        copy = LiveCluster(other, "copy")
        await copy.wait_ready(within=120)
        async with raw_client(await copy.url()) as client:
            await client.connect(token)
            reply = await client.command(id=2, subscribe={"channel": CHANNEL, "recover": True, **since})
            assert dig(reply, "subscribe", "recovered") is True, reply
            missed = [one["data"] for one in objects_at(reply, "subscribe", "publications")]
            assert missed == ["two", "three"]
            address = await copy.address(naming.api_service("copy"), naming.PORT_NAME_API)
            async with ServerApi(f"http://{address}", key) as api:
                await api.publish(CHANNEL, "four")
            assert await client.publication() == "four"
    finally:
        await other.kubectl("delete", "namespace", other.namespace, "--wait=false")


async def published(cluster: LiveCluster, token: str, *texts: str) -> JsonObject:
    """Publish; return the position of a client that saw the first message only."""
    async with raw_client(await cluster.url()) as client, await cluster.api() as api:
        await client.connect(token)
        reply = await client.command(id=2, subscribe={"channel": CHANNEL, "recoverable": True})
        for text in texts:
            await api.publish(CHANNEL, text)
        return {"offset": 1, "epoch": dig(reply, "subscribe", "epoch")}
