"""Scenario of an invalid spec: it is reported where users look, and changes nothing."""

from __future__ import annotations

from tests.kit.deadline import stays
from tests.kit.document import dig, text_at
from tests.kit.kube import condition, has_condition
from tests.kit.running_cluster import RunningCluster, available_servers, manifest


async def test_what_the_schema_cannot_say_is_told_and_changes_nothing(cluster: RunningCluster) -> None:
    """With a missing token secret Accepted is False with its name.

    Servers are not touched; its creation resolves it.
    """
    await cluster.apply(manifest("main", replicas=1))
    before = await cluster.wait_ready()
    names = {server.name for server in await cluster.servers()}
    await cluster.patch(
        auth={"tokens": [{"secretKeyRef": {"name": "signing-keys", "key": "current"}}]},
        server={"limits": {"messagesPerSecond": 200}},
    )
    refused = await cluster.wait(lambda o: has_condition(o, "Accepted", "False"), what="Accepted=False", within=15)
    accepted = condition(refused, "Accepted")
    assert accepted["reason"] == "SecretNotFound"
    assert "spec.auth.tokens[0].secretKeyRef" in text_at(accepted, "message")
    assert "signing-keys" in text_at(accepted, "message")
    assert dig(refused, "status", "currentRevision") == dig(before, "status", "currentRevision")
    await stays(cluster.servers, lambda now: {s.name for s in now} == names, what="the same servers", during=1)
    events = [event for event in await cluster.events() if "signing-keys" in event.message]
    assert [event.type for event in events] == ["Warning"]
    await cluster.put_secret("signing-keys", {"current": "s" * 40})
    ready = await cluster.wait_ready()
    assert has_condition(ready, "Accepted")
    assert names.isdisjoint(server.name for server in await available_servers(cluster))
