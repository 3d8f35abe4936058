"""Scenario of a cluster that comes back in another namespace under another name."""

from __future__ import annotations

import os
from pathlib import Path

from realtime_operator import naming
from tests.kit.api import ServerApi
from tests.kit.clients import Channel, ClientOptions, all_subscribed
from tests.kit.cluster.environment import Environment
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.live_cluster import LiveCluster
from tests.kit.realtime_command import realtime
from tests.kit.running_cluster import manifest
from tests.kit.sdk import JavaScriptClients


async def test_a_cluster_comes_back_in_another_namespace(
    scenario: Scenario, environment: Environment, tmp_path: Path
) -> None:
    """A backend and a client use the keys and tokens of the first cluster at the second one."""
    first, file = scenario.cluster(), str(tmp_path / "main.yaml")
    await first.apply(manifest("main", replicas=1))
    await first.wait_ready()
    other = scenario.kube.within(f"{scenario.kube.namespace}-other")
    await other.create_namespace()
    variables = {**os.environ, "KUBECONFIG": str(environment.kubeconfig)}
    try:
        exported = await realtime("export", "--secrets", "all", "-f", file, "-n", first.kube.namespace, **variables)
        assert exported.code == 0, exported
        imported = await realtime("import", "-f", file, "--name", "copy", "-n", other.namespace, **variables)
        assert imported.code == 0, imported
        copy = LiveCluster(other, "copy")
        await copy.wait_ready(within=120)
        key, token = await first.credential(naming.KEY_API), await first.token("alice")
        address = await copy.address(naming.api_service("copy"), naming.PORT_NAME_API)
        options = ClientOptions(endpoints=[await copy.url()], channels=[Channel("chat:lobby")], tokens=[token])
        async with JavaScriptClients(options) as clients, ServerApi(f"http://{address}", key) as api:
            await all_subscribed(clients)
            await api.publish("chat:lobby", "hello")
            await clients.record.wait(lambda r: len(r.publications()) == 1, what="the message")
    finally:
        await other.kubectl("delete", "namespace", other.namespace, "--wait=false")
