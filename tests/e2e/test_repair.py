"""Scenarios of repair: deleted and edited objects are restored, and settled ones are not touched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.kit.audit import AuditLog
from tests.kit.clients import Channel, ClientOptions, all_subscribed
from tests.kit.cluster.environment import Environment
from tests.kit.deadline import eventually
from tests.kit.document import dig, object_at, text_at
from tests.kit.installation import NAMESPACE, RELEASE
from tests.kit.kubernetes_fixtures import Scenario
from tests.kit.live_cluster import LiveCluster
from tests.kit.running_cluster import RESYNC_SECONDS, manifest
from tests.kit.sdk import JavaScriptClients

SECRET_SECONDS = 70
"""Upper bound of the seconds until a deleted Secret is noticed, as Secrets are not watched."""


@pytest.mark.timeout(300)
async def test_every_deleted_child_comes_back(scenario: Scenario) -> None:
    """Each deleted object has another uid afterwards; at the end the cluster is Ready and serves."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready()
    children = await cluster.children()
    assert {kind for kind, _ in children} == {
        "serviceaccounts", "secrets", "configmaps", "services", "statefulsets", "replicasets", "poddisruptionbudgets",
    }  # fmt: skip
    for (kind, name), uid in children.items():
        await scenario.kube.delete(kind, name)
        await eventually(
            cluster.children,
            lambda now, key=(kind, name), old=uid: now.get(key) not in {None, old},  # type: ignore[misc]
            what=f"{kind}/{name} comes back",
            within=SECRET_SECONDS if kind == "secrets" else 20,
        )
    await cluster.wait_ready(within=90)
    assert (await cluster.children()).keys() == children.keys()
    await _serves(cluster)


async def _serves(cluster: LiveCluster) -> None:
    """Connect, publish and receive with the current credentials and addresses."""
    options = ClientOptions(
        endpoints=[await cluster.url()],
        tokens=[await cluster.token("user")],
        channels=[Channel("chat:repaired")],
        max_reconnect_delay=0.5,
    )
    async with JavaScriptClients(options) as clients, await cluster.api() as api:
        await all_subscribed(clients, within=30)
        await api.publish("chat:repaired", "hello")
        await clients.record.wait(lambda r: len(r.publications()) == 1, what="the publication")


@dataclass(frozen=True, slots=True)
class HandEdit:
    """An edit by hand of one child, and the path of the field that must be restored."""

    kind: str
    name: Callable[[JsonObject], str]
    patch: JsonObject
    look: tuple[str, ...]

    def undone(self, before: JsonObject) -> Callable[[JsonObject], bool]:
        """Return a predicate that the field has its former value."""
        wanted = dig(before, *self.look)
        return lambda document: dig(document, *self.look) == wanted


EDITS = (
    HandEdit(
        "services",
        lambda _: naming.client_service("main"),
        {"spec": {"selector": {naming.LABEL_SERVING: "perhaps"}}},
        ("spec", "selector", naming.LABEL_SERVING),
    ),
    HandEdit(
        "services",
        lambda _: naming.api_service("main"),
        {"metadata": {"labels": {naming.LABEL_MANAGED_BY: "me"}}},
        ("metadata", "labels", naming.LABEL_MANAGED_BY),
    ),
    HandEdit(
        "replicasets",
        lambda cluster: naming.revision_object("main", text_at(cluster, "status", "currentRevision")),
        {"spec": {"replicas": 3}},
        ("spec", "replicas"),
    ),
    HandEdit(
        "statefulsets",
        lambda _: naming.redis("main"),
        {"metadata": {"labels": {naming.LABEL_COMPONENT: "mine"}}},
        ("metadata", "labels", naming.LABEL_COMPONENT),
    ),
    HandEdit(
        "poddisruptionbudgets",
        lambda _: naming.disruption_budget("main"),
        {"spec": {"maxUnavailable": "100%"}},
        ("spec", "maxUnavailable"),
    ),
)


async def test_hand_edits_of_owned_fields_are_undone(scenario: Scenario) -> None:
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    ready = await cluster.wait_ready()
    for edit in EDITS:
        name = edit.name(ready)
        before = await scenario.kube.get(edit.kind, name)
        assert before is not None
        await scenario.kube.patch(edit.kind, name, edit.patch)
        await scenario.kube.wait_for(edit.kind, name, edit.undone(before), what=f"{edit.look} as before", within=20)
    await cluster.wait_ready()


async def test_what_others_add_is_left_alone(scenario: Scenario) -> None:
    """Labels and annotations of other tools on children are kept."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=1))
    await cluster.wait_ready()
    await scenario.kube.patch("services", "main", {"metadata": {"annotations": {"example.com/by": "somebody"}}})
    await cluster.patch(
        server={"limits": {"messagesPerSecond": 250}}, endpoint={"service": {"annotations": {"a": "b"}}}
    )
    service = await scenario.kube.wait_for(
        "services", "main", lambda o: dig(o, "metadata", "annotations", "a") == "b", what="our change", within=20
    )
    assert object_at(service, "metadata", "annotations").get("example.com/by") == "somebody"
    await cluster.wait_ready()


async def test_a_settled_cluster_is_written_to_by_nobody(scenario: Scenario, environment: Environment) -> None:
    """Over more than two resyncs no object changes, and the operator writes only its Lease."""
    cluster = scenario.cluster()
    await cluster.apply(manifest("main", replicas=2))
    await cluster.wait_ready()
    await asyncio.sleep(2)
    before = await cluster.writes()
    audit = None if environment.audit_log is None else AuditLog(environment.audit_log)
    if audit is not None:
        audit.skip()
    await asyncio.sleep(2.5 * RESYNC_SECONDS)
    assert await cluster.writes() == before
    if audit is not None:
        calls = audit.calls_of(f"system:serviceaccount:{NAMESPACE}:{RELEASE}")
        # Clusters of other scenarios may still be going.
        here = [call for call in calls if call.namespace == scenario.kube.namespace]
        assert [call for call in here if call.writes] == []
        assert [call for call in calls if call.resource == "leases"], "this is not the audit log of the operator"
