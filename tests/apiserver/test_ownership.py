"""Tests of ownership: foreign objects are not touched, and own ones are identified by more than their name."""

from __future__ import annotations

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.builders import build_revision, build_secrets, build_shared
from realtime_operator.planning.model.difference import apply_to
from realtime_operator.planning.model.plan import (
    Action,
    ApplyObject,
    CreateObject,
    DeleteObject,
    EnsureSecret,
    FailureKind,
)
from realtime_operator.planning.model.world import object_key
from realtime_operator.platforms.kubernetes.client import path_of
from realtime_operator.platforms.kubernetes.store import slim
from tests.apiserver.test_apply import Applied, applied
from tests.kit.document import dig, object_at, text_at
from tests.kit.manifests import SETTINGS, with_redis_password

__all__ = ["applied"]


def children(applied: Applied) -> list[JsonObject]:
    """Return the manifests of all children but Secrets."""
    revision = build_revision(applied.cluster, SETTINGS)
    shared = build_shared(applied.cluster, SETTINGS, with_redis_password(applied.cluster))
    return [*shared, revision.config_map, revision.replica_set(2)]


def path(applied: Applied, manifest: JsonObject, *, collection: bool = False) -> str:
    """Return the API path of a manifest's object."""
    name = "" if collection else text_at(manifest, "metadata", "name")
    return path_of(text_at(manifest, "apiVersion"), text_at(manifest, "kind"), applied.namespace, name)


def foreign(manifest: JsonObject) -> JsonObject:
    """Return an application's object with the name of a child."""
    metadata: JsonObject = {"name": text_at(manifest, "metadata", "name"), "labels": {"app": "theirs"}}
    return {**manifest, "metadata": metadata}


KINDS = ("ServiceAccount", "Service", "StatefulSet", "PodDisruptionBudget", "ConfigMap", "ReplicaSet")


@pytest.mark.parametrize("kind", KINDS)
async def test_an_object_of_somebody_else_is_left_alone(applied: Applied, kind: str) -> None:
    """No field of it changes, the failure names it, and independent objects are made."""
    manifests = children(applied)
    taken = next(manifest for manifest in manifests if manifest["kind"] == kind)
    applied.server.call("POST", path(applied, taken, collection=True), foreign(taken))
    before = applied.server.call("GET", path(applied, taken))
    failures = await applied.try_to(*(CreateObject(manifest) for manifest in manifests))
    assert [failure.kind for failure in failures] == [FailureKind.NAME_TAKEN]
    name = text_at(taken, "metadata", "name")
    assert failures[0].message == (
        f"{kind} {name} exists and does not belong to this cluster: it is left alone."
        " Delete or rename it, or name the cluster other than main"
    )
    assert applied.server.call("GET", path(applied, taken)) == before
    for manifest in manifests:
        assert applied.server.call("GET", path(applied, manifest))


async def test_a_secret_of_somebody_else_is_left_alone(applied: Applied) -> None:
    """Credentials are neither read from it nor written to it."""
    (template, *_) = build_secrets(applied.cluster)
    theirs: JsonObject = {**foreign(template.manifest), "stringData": {naming.KEY_API: "theirs"}}
    applied.server.call("POST", path(applied, template.manifest, collection=True), theirs)
    before = applied.server.call("GET", path(applied, template.manifest))
    (failure,) = await applied.try_to(EnsureSecret(template.manifest, template.keys))
    assert failure.kind is FailureKind.NAME_TAKEN
    assert applied.server.call("GET", path(applied, template.manifest)) == before


async def test_a_child_of_another_cluster_is_left_alone(applied: Applied) -> None:
    """A cluster `main-api` wants the Service `main-api` of `main`: the failure names the owner."""
    service = next(m for m in children(applied) if text_at(m, "metadata", "name") == naming.api_service("main"))
    await applied.do(CreateObject(service))
    document: JsonObject = {"apiVersion": naming.API_VERSION, "kind": naming.KIND, "metadata": {"name": "main-api"}}
    owner = applied.server.call(
        "POST", path_of(naming.API_VERSION, naming.KIND, applied.namespace), {**document, "spec": {}}
    )
    other = Applied(applied.tools, applied.server, owner)
    wanted = next(m for m in children(other) if object_key(m) == object_key(service))
    (failure,) = await other.try_to(CreateObject(wanted))
    assert failure.message.startswith("Service main-api exists and belongs to RealtimeCluster main: it is left alone.")
    assert dig(applied.get("v1", "Service", "main-api"), "metadata", "ownerReferences", 0, "name") == "main"


async def test_what_needs_a_missing_object_is_not_made(applied: Applied) -> None:
    """No pod runs with a foreign ServiceAccount."""
    manifests = children(applied)
    account = next(manifest for manifest in manifests if manifest["kind"] == "ServiceAccount")
    replica_set = manifests[-1]
    applied.server.call("POST", path(applied, account, collection=True), foreign(account))
    failures = await applied.try_to(CreateObject(account), CreateObject(replica_set, (object_key(account),)))
    assert [failure.kind for failure in failures] == [FailureKind.NAME_TAKEN, FailureKind.SKIPPED]


async def test_a_child_whose_labels_were_removed_is_put_right(applied: Applied) -> None:
    """A child without its labels is not observed, and is identified by its owner."""
    service = next(manifest for manifest in children(applied) if manifest["kind"] == "Service")
    await applied.do(CreateObject(service))
    uid = applied.uid_of(service)
    applied.server.call("PATCH", path(applied, service), {"metadata": {"labels": None}})
    await applied.do(CreateObject(service))
    live = applied.server.call("GET", path(applied, service))
    assert text_at(live, "metadata", "uid") == uid
    assert object_at(live, "metadata", "labels") == object_at(service, "metadata", "labels")


async def test_a_child_that_is_going_is_waited_for(applied: Applied) -> None:
    """The name is taken until it is gone; it is not written to."""
    account = next(manifest for manifest in children(applied) if manifest["kind"] == "ServiceAccount")
    await applied.do(CreateObject(account))
    finalizers: JsonObject = {"metadata": {"finalizers": ["example.com/wait"]}}
    applied.server.call("PATCH", path(applied, account), finalizers)
    applied.server.call("DELETE", path(applied, account))
    before = applied.server.call("GET", path(applied, account))
    (failure,) = await applied.try_to(CreateObject(account))
    assert failure.kind is FailureKind.OUTDATED
    assert applied.server.call("GET", path(applied, account)) == before
    applied.server.call("PATCH", path(applied, account), {"metadata": {"finalizers": None}})
    await applied.do(CreateObject(account))


async def test_a_field_that_is_no_longer_wanted_goes(applied: Applied) -> None:
    """The first apply after the creation removes it too, as the operator owns the fields that it created."""
    service = next(manifest for manifest in children(applied) if manifest["kind"] == "Service")
    annotations = object_at(service, "metadata", "annotations")
    metadata: JsonObject = {**object_at(service, "metadata"), "annotations": {**annotations, "example.com/pool": "a"}}
    await applied.do(CreateObject({**service, "metadata": metadata}))
    theirs: JsonObject = {"metadata": {"annotations": {"example.com/theirs": "kept"}}}
    applied.server.call("PATCH", path(applied, service), theirs)
    await applied.do(apply_to(slim(applied.server.call("GET", path(applied, service))), service))
    left = object_at(applied.server.call("GET", path(applied, service)), "metadata", "annotations")
    assert left == {**annotations, "example.com/theirs": "kept"}


async def test_a_scaled_replica_set_that_is_applied_keeps_its_number(applied: Applied) -> None:
    """The number of pods is in both entries of managedFields, and in the manifest."""
    replica_set = children(applied)[-1]
    await applied.do(CreateObject(replica_set))
    applied.server.call("PATCH", path(applied, replica_set), {"metadata": {"labels": {"theirs": "x"}}})
    await applied.do(apply_to(slim(applied.server.call("GET", path(applied, replica_set))), replica_set))
    live = applied.server.call("GET", path(applied, replica_set))
    assert dig(live, "spec", "replicas") == 2


@pytest.mark.parametrize("kind", ["apply", "delete", "delete an older one"])
async def test_an_object_that_was_made_anew_by_somebody_else_is_not_touched(applied: Applied, kind: str) -> None:
    """Between observation and write the uid or the resourceVersion has changed."""
    service = next(manifest for manifest in children(applied) if manifest["kind"] == "Service")
    await applied.do(CreateObject(service))
    seen = object_at(applied.server.call("GET", path(applied, service)), "metadata")
    uid, version = text_at(seen, "uid"), text_at(seen, "resourceVersion")
    if kind == "delete an older one":
        applied.server.call("PATCH", path(applied, service), {"metadata": {"labels": {"theirs": "x"}}})
    else:
        applied.server.call("DELETE", path(applied, service))
        applied.server.call("POST", path(applied, service, collection=True), foreign(service))
    before = applied.server.call("GET", path(applied, service))
    action: Action = ApplyObject(service, uid) if kind == "apply" else DeleteObject(object_key(service), uid, version)
    (failure,) = await applied.try_to(action)
    assert failure.kind is FailureKind.OUTDATED
    assert applied.server.call("GET", path(applied, service)) == before


async def test_a_write_that_the_api_server_refuses_is_told_in_its_words(applied: Applied) -> None:
    """A quota refuses a ConfigMap; other objects are made."""
    quota: JsonObject = {"metadata": {"name": "small"}, "spec": {"hard": {"count/configmaps": "0"}}}
    applied.server.call("POST", f"/api/v1/namespaces/{applied.namespace}/resourcequotas", quota)
    status = {"status": {"hard": {"count/configmaps": "0"}, "used": {"count/configmaps": "0"}}}
    applied.server.call("PATCH", f"/api/v1/namespaces/{applied.namespace}/resourcequotas/small/status", status)  # type: ignore[arg-type] # a literal
    failures = await applied.try_to(*(CreateObject(manifest) for manifest in children(applied)))
    assert [(failure.kind, "exceeded quota: small" in failure.message) for failure in failures] == [
        (FailureKind.REFUSED, True)
    ]
