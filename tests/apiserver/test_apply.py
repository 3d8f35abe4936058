"""Tests of every action with a real API server and the operator's permissions."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiohttp import web

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import build_revision, build_secrets, build_shared
from realtime_operator.metrics import Metrics
from realtime_operator.planning.credentials.generated_certificate import digest_of, read_record
from realtime_operator.planning.model.difference import apply_to
from realtime_operator.planning.model.plan import (
    Action,
    ApplyObject,
    CreateObject,
    DeleteServer,
    Drain,
    EmitEvent,
    EnsureSecret,
    EventType,
    Failure,
    FailureKind,
    Quiesce,
    Resume,
    RotateCredentials,
    RotationStep,
    ScaleRevision,
    SetDeletionCost,
    SetStatus,
)
from realtime_operator.planning.model.world import AdminAccess
from realtime_operator.platforms.base import Key
from realtime_operator.platforms.kubernetes.apply import Applier, ApplierTools
from realtime_operator.platforms.kubernetes.client import KubernetesClient, path_of
from realtime_operator.platforms.kubernetes.credential_memory import CredentialMemory
from realtime_operator.platforms.kubernetes.event_recorder import EventRecorder
from realtime_operator.platforms.kubernetes.secret_reader import SecretReader, hashes
from realtime_operator.platforms.kubernetes.store import slim
from realtime_operator.pods.admin_client import AdminClient
from tests.kit.apiserver import ApiServer
from tests.kit.document import dig, object_at, objects_at, text_at
from tests.kit.generated_certificates import WITH_TLS, order
from tests.kit.manifests import SETTINGS, with_redis_password


@dataclass
class Applied:
    """A stored RealtimeCluster, and the execution of actions for it."""

    tools: ApplierTools
    server: ApiServer
    owner: JsonObject

    @property
    def namespace(self) -> str:
        """Namespace of the cluster."""
        return text_at(self.owner, "metadata", "namespace")

    @property
    def cluster(self) -> RealtimeCluster:
        """The stored object, parsed."""
        return RealtimeCluster.from_object(self.owner)

    async def try_to(self, *actions: Action) -> tuple[Failure, ...]:
        """Carry out actions; return the failures."""
        return await Applier(self.tools, self.owner).apply(actions)

    async def do(self, *actions: Action) -> None:
        """Carry out actions; fails when one of them fails."""
        assert await self.try_to(*actions) == ()

    def uid_of(self, manifest: JsonObject) -> str:
        """Return the uid of a manifest's object."""
        name = text_at(manifest, "metadata", "name")
        return text_at(self.get(text_at(manifest, "apiVersion"), text_at(manifest, "kind"), name), "metadata", "uid")

    def get(self, version: str, kind: str, name: str) -> JsonObject:
        """Return a stored object."""
        return self.server.call("GET", path_of(version, kind, self.namespace, name))

    def pod(self, name: str = "main-a-x") -> str:
        """Create a server pod as the ReplicaSet controller does; return its uid."""
        labels: JsonObject = {**naming.cluster_labels("main"), naming.LABEL_SERVING: "true"}
        container: JsonObject = {"name": "server", "image": "localhost/server:1"}
        document: JsonObject = {
            "metadata": {"name": name, "labels": labels}, "spec": {"containers": [container]},
        }  # fmt: skip
        return text_at(self.server.call("POST", path_of("v1", "Pod", self.namespace), document), "metadata", "uid")


def without_claims(live: JsonObject) -> JsonObject:
    """Return an object without managedFields and resourceVersion."""
    metadata = {k: v for k, v in object_at(live, "metadata").items() if k not in {"managedFields", "resourceVersion"}}
    return {**live, "metadata": metadata}


@pytest.fixture
async def applied(api_server: ApiServer, namespace: str, operator_client: KubernetesClient) -> AsyncIterator[Applied]:
    """A cluster `main` with a managed Redis."""
    document: JsonObject = {"apiVersion": naming.API_VERSION, "kind": naming.KIND, "metadata": {"name": "main"}}
    owner = api_server.call("POST", path_of(naming.API_VERSION, naming.KIND, namespace), {**document, "spec": {}})
    admin = AdminClient()
    events, secrets = EventRecorder(operator_client), SecretReader(operator_client)
    tools = ApplierTools(operator_client, admin, Metrics(), events, CredentialMemory(), secrets)
    yield Applied(tools, api_server, owner)
    await admin.close()


async def test_every_child_is_accepted_and_the_second_time_nothing_changes(applied: Applied) -> None:
    """All kinds are created with the operator's role; their owner is the cluster."""
    revision = build_revision(applied.cluster, SETTINGS)
    shared = build_shared(applied.cluster, SETTINGS, with_redis_password(applied.cluster))
    manifests = [*shared, revision.config_map, revision.replica_set(2)]
    await applied.do(*(CreateObject(manifest) for manifest in manifests))

    def stored() -> list[JsonObject]:
        return [
            applied.get(text_at(m, "apiVersion"), text_at(m, "kind"), text_at(m, "metadata", "name")) for m in manifests
        ]

    first = stored()
    assert {text_at(item, "kind") for item in first} == {
        "ConfigMap", "PodDisruptionBudget", "ReplicaSet", "Service", "ServiceAccount", "StatefulSet",
    }  # fmt: skip
    uid = text_at(applied.owner, "metadata", "uid")
    assert all(dig(item, "metadata", "ownerReferences", 0, "uid") == uid for item in first)
    await applied.do(*(ApplyObject(manifest, applied.uid_of(manifest)) for manifest in manifests))
    second = stored()
    await applied.do(*(ApplyObject(manifest, applied.uid_of(manifest)) for manifest in manifests))
    assert [dig(item, "metadata", "resourceVersion") for item in stored()] == [
        dig(item, "metadata", "resourceVersion") for item in second
    ]
    assert [without_claims(item) for item in second] == [without_claims(item) for item in first]


async def test_a_secret_gets_what_is_missing_and_keeps_what_it_has(applied: Applied) -> None:
    """Missing keys get random values once."""
    (template, *_) = build_secrets(applied.cluster)
    name = text_at(template.manifest, "metadata", "name")
    await applied.do(EnsureSecret(template.manifest, template.keys))
    before = object_at(applied.get("v1", "Secret", name), "data")
    assert set(before) == set(template.keys)
    gone = template.keys[0]
    applied.server.call("PATCH", path_of("v1", "Secret", applied.namespace, name), {"data": {gone: None}})
    await applied.do(EnsureSecret(template.manifest, template.keys, applied.uid_of(template.manifest)))
    after = object_at(applied.get("v1", "Secret", name), "data")
    assert set(after) == set(template.keys)
    assert {key for key in template.keys if after[key] != before[key]} == {gone}


async def test_an_apply_reads_nothing_but_once_after_the_creation(applied: Applied) -> None:
    """Only the first apply after the creation reads the object, to merge the fields."""
    (service, *_) = build_shared(applied.cluster, SETTINGS, {})
    await applied.do(CreateObject(service))
    asked: list[str] = []
    applied.tools.client.answered = lambda method, _path, _document: asked.append(method)
    for annotation in ("first", "second"):
        metadata: JsonObject = {**object_at(service, "metadata"), "annotations": {"a": annotation}}
        changed: JsonObject = {**service, "metadata": metadata}
        live = applied.get(
            text_at(service, "apiVersion"), text_at(service, "kind"), text_at(service, "metadata", "name")
        )
        await applied.do(apply_to(slim(live), changed))
    assert asked == ["GET", "PATCH", "PATCH", "PATCH"]


async def test_a_revision_is_scaled(applied: Applied) -> None:
    """Only the number of pods changes."""
    revision = build_revision(applied.cluster, SETTINGS)
    name = text_at(revision.replica_set(1), "metadata", "name")
    await applied.do(CreateObject(revision.replica_set(1)))
    await applied.do(ScaleRevision(name, applied.uid_of(revision.replica_set(1)), 3))
    assert dig(applied.get("apps/v1", "ReplicaSet", name), "spec", "replicas") == 3
    (failure,) = await applied.try_to(ScaleRevision(name, "another-uid", 5))
    assert failure.kind is FailureKind.OUTDATED
    assert dig(applied.get("apps/v1", "ReplicaSet", name), "spec", "replicas") == 3


async def test_a_server_is_quiesced_and_resumed(applied: Applied) -> None:
    """The pod gets a label, which the Service selects, and a time."""
    uid = applied.pod()
    await applied.do(Quiesce("main-a-x", uid))
    metadata = object_at(applied.get("v1", "Pod", "main-a-x"), "metadata")
    assert dig(metadata, "labels", naming.LABEL_SERVING) == "false"
    assert text_at(metadata, "annotations", naming.ANNOTATION_QUIESCED_AT)
    await applied.do(Resume("main-a-x", uid, None))
    metadata = object_at(applied.get("v1", "Pod", "main-a-x"), "metadata")
    assert dig(metadata, "labels", naming.LABEL_SERVING) == "true"
    assert dig(metadata, "annotations", naming.ANNOTATION_QUIESCED_AT) is None


async def test_a_deletion_cost_is_set_and_removed(applied: Applied) -> None:
    """A cost of 0 removes the annotation."""
    uid = applied.pod()
    await applied.do(SetDeletionCost("main-a-x", uid, -1000))
    path = ("metadata", "annotations", naming.ANNOTATION_DELETION_COST)
    assert dig(applied.get("v1", "Pod", "main-a-x"), *path) == "-1000"
    await applied.do(SetDeletionCost("main-a-x", uid, 0))
    assert dig(applied.get("v1", "Pod", "main-a-x"), *path) is None


@pytest.mark.parametrize(
    "action",
    [
        Quiesce("main-a-x", "another-uid"),
        Resume("main-a-x", "another-uid", None),
        SetDeletionCost("main-a-x", "another-uid", -1000),
    ],
    ids=["quiesce", "resume", "deletion-cost"],
)
async def test_another_pod_of_the_name_is_not_marked(applied: Applied, action: Action) -> None:
    """The pod has replaced the observed one, and is left for the next plan."""
    applied.pod()
    before = applied.get("v1", "Pod", "main-a-x")
    (failure,) = await applied.try_to(action)
    assert failure.kind is FailureKind.OUTDATED
    assert applied.get("v1", "Pod", "main-a-x") == before


async def test_a_step_of_a_rotation_is_carried_out_once(applied: Applied) -> None:
    """Values and state are written together, to the observed version of the Secret alone, and an apply keeps both."""
    (template, *_) = build_secrets(applied.cluster)
    await applied.do(EnsureSecret(template.manifest, template.keys))
    name = text_at(template.manifest, "metadata", "name")
    before = applied.get("v1", "Secret", name)
    uid, version = (text_at(before, "metadata", key) for key in ("uid", "resourceVersion"))
    renew = RotateCredentials(name, uid, version, RotationStep.RENEW, (naming.KEY_API,), "prepared")
    await applied.do(renew)
    renewed = applied.get("v1", "Secret", name)
    data, second = object_at(renewed, "data"), naming.alternate(naming.KEY_API)
    assert data[second] != object_at(before, "data")[second]
    assert {**data, second: ""} == {**object_at(before, "data"), second: ""}
    (failure,) = await applied.try_to(renew)
    assert failure.kind is FailureKind.OUTDATED
    version = text_at(renewed, "metadata", "resourceVersion")
    await applied.do(RotateCredentials(name, uid, version, RotationStep.EXCHANGE, (naming.KEY_API,), "exchanged"))
    exchanged = applied.get("v1", "Secret", name)
    metadata = object_at(template.manifest, "metadata")
    annotations = {**object_at(metadata, "annotations"), naming.ANNOTATION_ROTATION: "exchanged"}
    kept: JsonObject = {**template.manifest, "metadata": {**metadata, "annotations": annotations}}
    await applied.do(EnsureSecret(kept, template.keys, uid))
    for found in (exchanged, applied.get("v1", "Secret", name)):
        assert object_at(found, "data") == {**data, second: data[naming.KEY_API], naming.KEY_API: data[second]}
        assert text_at(found, "metadata", "annotations", naming.ANNOTATION_ROTATION) == "exchanged"


async def test_a_certificate_is_written_to_the_observed_secret_alone(applied: Applied) -> None:
    """Values and record are written together; a deleted Secret gets a certificate of the authority that was known."""
    cluster = RealtimeCluster.from_object({**applied.owner, "spec": WITH_TLS})
    create = order(cluster)
    await applied.do(create)
    name = text_at(create.manifest, "metadata", "name")
    made = applied.get("v1", "Secret", name)
    record = read_record(made)
    assert record is not None
    assert record.digest == digest_of(hashes(made))
    uid, version = (text_at(made, "metadata", field) for field in ("uid", "resourceVersion"))
    (failure,) = await applied.try_to(dataclasses.replace(create, uid=uid, resource_version="1"))
    assert failure.kind is FailureKind.OUTDATED
    await applied.do(dataclasses.replace(create, uid=uid, resource_version=version))
    renewed = applied.get("v1", "Secret", name)
    assert dig(renewed, "data", "ca.crt") == dig(made, "data", "ca.crt")
    assert dig(renewed, "data", "tls.crt") != dig(made, "data", "tls.crt")
    key = Key(applied.namespace, "main")
    applied.tools.credentials.note(key, cluster.metadata.uid, name, object_at(renewed, "data"))
    applied.server.call("DELETE", path_of("v1", "Secret", applied.namespace, name))
    await applied.do(create)
    assert dig(applied.get("v1", "Secret", name), "data", "ca.crt") == dig(made, "data", "ca.crt")


async def test_servers_are_told_without_reading_again(applied: Applied) -> None:
    """The address is in the action, and the Secret was read by the observation."""
    (template, *_) = build_secrets(applied.cluster)
    await applied.do(EnsureSecret(template.manifest, template.keys))
    name = text_at(template.manifest, "metadata", "name")
    secret = await applied.tools.secrets.get(Key(applied.namespace, "main"), name)
    assert secret is not None
    received: list[tuple[str, str]] = []
    asked: list[tuple[str, str]] = []
    applied.tools.client.answered = lambda method, path, _: asked.append((method, path))

    async def take(request: web.Request) -> web.Response:
        received.append((request.path, request.headers["Authorization"].removeprefix("Bearer ")))
        return web.json_response({})

    application = web.Application()
    application.router.add_post("/admin/v1/{call}", take)
    runner = web.AppRunner(application)
    await runner.setup()
    with tempfile.TemporaryDirectory() as folder:
        access = AdminAccess(f"{folder}/admin.sock", name)
        await web.UnixSite(runner, access.address).start()
        uid = applied.pod()
        await applied.do(Drain("main-a-x", access, 5.0), Resume("main-a-x", uid, access))
        await runner.cleanup()
    assert received == [("/admin/v1/drain", secret.admin_tokens[0]), ("/admin/v1/resume", secret.admin_tokens[0])]
    assert asked == [("PATCH", path_of("v1", "Pod", applied.namespace, "main-a-x"))]


async def test_a_failed_server_is_deleted(applied: Applied) -> None:
    """A pod that was never scheduled is deleted without a grace period."""
    applied.pod()
    (failure,) = await applied.try_to(DeleteServer("main-a-x", "another-uid"))
    assert failure.kind is FailureKind.OUTDATED
    uid = text_at(applied.get("v1", "Pod", "main-a-x"), "metadata", "uid")
    await applied.do(DeleteServer("main-a-x", uid))
    listed = applied.server.call("GET", path_of("v1", "Pod", applied.namespace))
    assert objects_at(listed, "items") == []


async def test_an_event_is_about_the_cluster(applied: Applied) -> None:
    await applied.do(EmitEvent(EventType.WARNING, "TestReason", "something has changed"))
    path = path_of("v1", "Event", applied.namespace)
    (event,) = objects_at(applied.server.call("GET", path), "items")
    assert (event["reason"], event["message"]) == ("TestReason", "something has changed")
    assert dig(event, "involvedObject", "uid") == dig(applied.owner, "metadata", "uid")


async def test_the_same_event_again_counts_up(applied: Applied) -> None:
    """Another message makes another Event; a deleted one is created again."""
    event = EmitEvent(EventType.WARNING, "TestReason", "something has changed")
    await applied.do(event, event, EmitEvent(EventType.WARNING, "TestReason", "something else has"), event)
    path = path_of("v1", "Event", applied.namespace)
    found = objects_at(applied.server.call("GET", path), "items")
    assert sorted((item["message"], item["count"]) for item in found) == [
        ("something else has", 1), ("something has changed", 3),
    ]  # fmt: skip
    for item in found:
        applied.server.call("DELETE", f"{path}/{text_at(item, 'metadata', 'name')}")
    await applied.do(event)
    assert [item["count"] for item in objects_at(applied.server.call("GET", path), "items")] == [1]


async def test_the_next_operator_counts_up_what_its_predecessor_told(
    applied: Applied, operator_client: KubernetesClient
) -> None:
    """Equal Events have equal names in all processes."""
    event = EmitEvent(EventType.WARNING, "TestReason", "something has changed")
    await applied.do(event, event)
    applied.tools = dataclasses.replace(applied.tools, events=EventRecorder(operator_client))
    await applied.do(event, event)
    (found,) = objects_at(applied.server.call("GET", path_of("v1", "Event", applied.namespace)), "items")
    assert found["count"] == 4


async def test_many_similar_events_are_aggregated(applied: Applied) -> None:
    """Of twelve moved servers nine have an Event each, and the other three share one."""
    await applied.do(*(EmitEvent(EventType.NORMAL, "Draining", f"server {number}") for number in range(12)))
    found = objects_at(applied.server.call("GET", path_of("v1", "Event", applied.namespace)), "items")
    (together,) = [item for item in found if item["count"] != 1]
    assert (len(found), together["count"]) == (10, 3)
    assert together["message"] == "(combined from similar events): server 11"


async def test_credentials_that_are_known_are_put_back(applied: Applied) -> None:
    """Backends and clients keep the credentials that they have after a deletion of the Secret."""
    (template, *_) = build_secrets(applied.cluster)
    name = text_at(template.manifest, "metadata", "name")
    await applied.do(EnsureSecret(template.manifest, template.keys))
    before = object_at(applied.get("v1", "Secret", name), "data")
    key, uid = Key(applied.namespace, "main"), text_at(applied.owner, "metadata", "uid")
    applied.tools.credentials.note(key, uid, name, before)
    applied.server.call("DELETE", path_of("v1", "Secret", applied.namespace, name))
    await applied.do(EnsureSecret(template.manifest, template.keys))
    assert object_at(applied.get("v1", "Secret", name), "data") == before


async def test_a_status_is_written_whole(applied: Applied) -> None:
    """Fields that the new status lacks are removed; the spec is not changed."""
    await applied.do(SetStatus({"phase": "Pending", "observedGeneration": 1, "replicas": 2}))
    await applied.do(SetStatus({"phase": "Ready", "observedGeneration": 1}))
    stored = applied.get(naming.API_VERSION, naming.KIND, "main")
    assert stored["status"] == {"phase": "Ready", "observedGeneration": 1}
    assert dig(stored, "metadata", "generation") == dig(applied.owner, "metadata", "generation")


async def test_a_plan_for_a_cluster_that_has_gone_does_no_harm(applied: Applied) -> None:
    """Actions on its status and its pods succeed without effect."""
    path = path_of(naming.API_VERSION, naming.KIND, applied.namespace, "main")
    applied.server.call("DELETE", path)
    await applied.do(Quiesce("main-a-x", "uid"), DeleteServer("main-a-x", "uid"), SetStatus({"phase": "Ready"}))
