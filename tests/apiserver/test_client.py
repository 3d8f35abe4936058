"""Tests of the client with a real API server."""

from __future__ import annotations

import asyncio

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import text_at
from realtime_operator.errors import ConflictError, ForbiddenError, NotFoundError, PlatformError
from realtime_operator.platforms.kubernetes.client import KubernetesClient, path_of
from tests.kit.apiserver import ApiServer
from tests.kit.document import dig


def config_map(name: str, data: JsonObject, **labels: str) -> JsonObject:
    """Return a manifest."""
    metadata: JsonObject = {"name": name, "labels": {**labels}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


async def test_an_object_is_created_read_patched_and_deleted(operator_client: KubernetesClient, namespace: str) -> None:
    """A second creation raises ConflictError."""
    collection, path = path_of("v1", "ConfigMap", namespace), path_of("v1", "ConfigMap", namespace, "one")
    created = await operator_client.create(collection, config_map("one", {"a": "1"}))
    assert await operator_client.get(path) == created
    with pytest.raises(ConflictError, match="already exists"):
        await operator_client.create(collection, config_map("one", {"a": "2"}))
    patched = await operator_client.patch(path, {"data": {"a": None, "b": "2"}})
    assert patched["data"] == {"b": "2"}
    await operator_client.delete(path)
    with pytest.raises(NotFoundError):
        await operator_client.get(path)
    await operator_client.delete(path)  # absent is fine


async def test_an_apply_takes_its_fields_back_and_drops_those_it_no_longer_names(
    operator_client: KubernetesClient, admin_client: KubernetesClient, namespace: str
) -> None:
    """Fields of other managers are kept."""
    path = path_of("v1", "ConfigMap", namespace, "one")
    await operator_client.apply(path, config_map("one", {"a": "1", "b": "1"}))
    await admin_client.patch(path, {"data": {"a": "edited", "theirs": "x"}})
    applied = await operator_client.apply(path, config_map("one", {"a": "1"}))
    assert applied["data"] == {"a": "1", "theirs": "x"}


async def test_a_deletion_with_a_uid_spares_a_namesake(operator_client: KubernetesClient, namespace: str) -> None:
    collection, path = path_of("v1", "ConfigMap", namespace), path_of("v1", "ConfigMap", namespace, "one")
    first = await operator_client.create(collection, config_map("one", {}))
    await operator_client.delete(path)
    second = await operator_client.create(collection, config_map("one", {}))
    with pytest.raises(ConflictError, match="uid"):
        await operator_client.delete(path, text_at(first, "metadata", "uid"))
    assert dig(await operator_client.get(path), "metadata", "uid") == dig(second, "metadata", "uid")
    await operator_client.delete(path, text_at(second, "metadata", "uid"))


async def test_a_patch_with_a_uid_spares_a_namesake(operator_client: KubernetesClient, namespace: str) -> None:
    """The API server treats another uid as a change of that field, which it refuses."""
    collection, path = path_of("v1", "ConfigMap", namespace), path_of("v1", "ConfigMap", namespace, "one")
    first = await operator_client.create(collection, config_map("one", {"a": "1"}))
    await operator_client.delete(path)
    second = await operator_client.create(collection, config_map("one", {"a": "2"}))
    with pytest.raises(ConflictError, match="uid"):
        await operator_client.patch(path, {"data": {"a": "3"}}, text_at(first, "metadata", "uid"))
    patched = await operator_client.patch(path, {"data": {"a": "4"}}, text_at(second, "metadata", "uid"))
    assert patched["data"] == {"a": "4"}


async def test_a_replacement_of_what_has_changed_is_a_conflict(
    operator_client: KubernetesClient, namespace: str
) -> None:
    """The leader election depends on it."""
    lease: JsonObject = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "one"}}
    collection = path_of("coordination.k8s.io/v1", "Lease", namespace)
    created = await operator_client.create(collection, {**lease, "spec": {"holderIdentity": "a"}})
    path = f"{collection}/one"
    await operator_client.replace(path, {**created, "spec": {"holderIdentity": "b"}})
    with pytest.raises(ConflictError, match="modified"):
        await operator_client.replace(path, {**created, "spec": {"holderIdentity": "c"}})


async def test_a_missing_permission_says_what_is_missing(operator_client: KubernetesClient, namespace: str) -> None:
    """The message has the verb, the resource and the namespace."""
    words = f'cannot get resource "endpoints" in API group "" in the namespace "{namespace}"'
    with pytest.raises(ForbiddenError, match=words):
        await operator_client.get(f"/api/v1/namespaces/{namespace}/endpoints/one")


async def test_a_refused_object_says_which_field(admin_client: KubernetesClient, namespace: str) -> None:
    """The message is the API server's."""
    path = path_of(naming.API_VERSION, naming.KIND, namespace)
    with pytest.raises(PlatformError, match=r"422: .*spec\.replicas"):
        await admin_client.create(
            path,
            {
                "apiVersion": naming.API_VERSION,
                "kind": naming.KIND,
                "metadata": {"name": "a"},
                "spec": {"replicas": -1},
            },
        )


async def test_a_list_has_what_the_label_selects_with_kind_and_version(
    operator_client: KubernetesClient, api_server: ApiServer, namespace: str
) -> None:
    """Items of a list have neither kind nor apiVersion."""
    collection = path_of("v1", "ConfigMap", namespace)
    for number in range(3):
        api_server.call("POST", collection, config_map(f"ours-{number}", {}, **{naming.LABEL_CLUSTER: "a"}))
    api_server.call("POST", collection, config_map("foreign", {}))
    found = await operator_client.list_items(collection, f"{naming.LABEL_CLUSTER}=a")
    assert {(item["apiVersion"], item["kind"], text_at(item, "metadata", "name")) for item in found} == {
        ("v1", "ConfigMap", f"ours-{number}") for number in range(3)
    }


async def test_lines_of_a_watch_come_as_they_are_written(
    operator_client: KubernetesClient, api_server: ApiServer, namespace: str
) -> None:
    """The client waits for the next line without a timeout."""
    collection = path_of("v1", "ConfigMap", namespace)
    lines = operator_client.lines(collection, {"watch": "true", "timeoutSeconds": "3"})
    waiting = asyncio.ensure_future(anext(aiter(lines)))
    await asyncio.sleep(0.5)
    api_server.call("POST", collection, config_map("one", {}))
    assert '"ADDED"' in await asyncio.wait_for(waiting, 5)
