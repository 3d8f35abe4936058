"""Tests of the whole operator with an API server: the objects that it makes, and interruptions."""

from __future__ import annotations

import asyncio

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.platforms.kubernetes.client import path_of
from tests.kit.apiserver import ApiServer, RefusedError
from tests.kit.deadline import eventually
from tests.kit.document import dig, objects_at, text_at
from tests.kit.operator_process import OperatorProcess


def create(server: ApiServer, namespace: str, name: str = "main", **spec: object) -> JsonObject:
    """Create a RealtimeCluster."""
    document: JsonObject = {"apiVersion": naming.API_VERSION, "kind": naming.KIND, "metadata": {"name": name}}
    given: JsonObject = {**spec}  # type: ignore[dict-item] # JSON in every test
    return server.call("POST", path_of(naming.API_VERSION, naming.KIND, namespace), {**document, "spec": given})


def names(server: ApiServer, namespace: str, version: str, kind: str) -> list[str]:
    """Return the names of all objects of a kind."""
    listed = server.call("GET", path_of(version, kind, namespace))
    return [text_at(item, "metadata", "name") for item in objects_at(listed, "items")]


async def test_a_cluster_gets_its_children(api_server: ApiServer, namespace: str) -> None:
    """The operator has its role only; deleted objects are made again, also Secrets, which are not watched."""
    async with OperatorProcess(api_server, namespace, watch_namespaces=namespace, resync_seconds=2) as operator:
        await operator.wait_ready()
        create(api_server, namespace, replicas=2)

        async def kinds() -> dict[str, list[str]]:
            return {kind: names(api_server, namespace, version, kind) for version, kind in (
                ("v1", "Secret"), ("v1", "Service"), ("v1", "ConfigMap"), ("v1", "ServiceAccount"),
                ("apps/v1", "ReplicaSet"), ("apps/v1", "StatefulSet"), ("policy/v1", "PodDisruptionBudget"),
            )}  # fmt: skip

        made = await eventually(kinds, lambda found: all(found.values()), what="children", within=20)
        assert sorted(made["Secret"]) == ["main-credentials", "main-redis"]
        for version, kind in (("v1", "Service"), ("v1", "Secret"), ("apps/v1", "ReplicaSet")):
            name = made[kind][0]
            old = api_server.call("DELETE", path_of(version, kind, namespace, name))
            uid = text_at(old, "metadata", "uid") or text_at(old, "details", "uid")

            async def uid_now(path: str = path_of(version, kind, namespace, name)) -> str:
                try:
                    return text_at(api_server.call("GET", path), "metadata", "uid")
                except RefusedError:
                    return ""

            await eventually(uid_now, lambda now, old=uid: now not in {"", old}, what=f"{kind} again", within=15)  # type: ignore[misc]
        assert "Traceback" not in operator.log()


async def test_nothing_settled_is_written_to(api_server: ApiServer, namespace: str) -> None:
    """For several resyncs no object of the cluster changes."""
    async with OperatorProcess(api_server, namespace, watch_namespaces=namespace, resync_seconds=1) as operator:
        create(api_server, namespace, replicas=0)

        async def versions() -> dict[str, str]:
            listed = [
                item
                for version, kind in (
                    ("v1", "Secret"),
                    ("v1", "Service"),
                    ("apps/v1", "ReplicaSet"),
                    ("v1", "ConfigMap"),
                )
                for item in objects_at(api_server.call("GET", path_of(version, kind, namespace)), "items")
            ]
            return {text_at(i, "metadata", "uid"): text_at(i, "metadata", "resourceVersion") for i in listed}

        await eventually(versions, lambda found: len(found) > 6, what="children", within=20)
        await asyncio.sleep(2)
        before = await versions()
        await asyncio.sleep(3)
        assert await versions() == before
        assert "Traceback" not in operator.log()


@pytest.fixture
def without_crd(api_server: ApiServer) -> ApiServer:
    """An API server that does not serve RealtimeClusters."""
    api_server.remove_crd()
    return api_server


async def test_a_crd_that_comes_later_is_waited_for(without_crd: ApiServer, namespace: str) -> None:
    """The operator is not ready, with one clear line, then ready without a restart."""
    async with OperatorProcess(without_crd, namespace) as operator:
        expected = "the API server does not serve realtimeclusters.realtime.dev: install the CRD"
        try:
            await eventually(operator.readiness, lambda why: expected in why, what="says what is missing", within=20)
        finally:
            without_crd.install_crd()
        await operator.wait_ready()
        create(without_crd, namespace)
        secret = "main-credentials"

        async def secrets() -> list[str]:
            return names(without_crd, namespace, "v1", "Secret")

        await eventually(secrets, lambda found: secret in found, what="children", within=20)
        assert operator.log().count(expected) == 1
        assert "Traceback" not in operator.log()


async def test_a_crd_that_is_deleted_is_survived(api_server: ApiServer, namespace: str) -> None:
    """The operator is not ready, without a traceback, and continues when the CRD exists again."""
    async with OperatorProcess(api_server, namespace) as operator:
        await operator.wait_ready()
        create(api_server, namespace, "first")

        async def secrets() -> list[str]:
            return names(api_server, namespace, "v1", "Secret")

        await eventually(secrets, lambda found: "first-credentials" in found, what="children", within=20)
        api_server.remove_crd()
        try:
            await eventually(operator.readiness, lambda why: "not serve" in why, what="not ready", within=20)
        finally:
            api_server.install_crd()
        await operator.wait_ready()
        create(api_server, namespace, "second")
        await eventually(secrets, lambda found: "second-credentials" in found, what="children", within=20)
        assert operator.process is not None
        assert operator.process.returncode is None
        assert "Traceback" not in operator.log()


async def test_a_secret_that_changes_is_seen_without_a_watch(api_server: ApiServer, namespace: str) -> None:
    """A missing Secret is named; the cluster continues once it exists."""
    async with OperatorProcess(api_server, namespace, watch_namespaces=namespace, resync_seconds=2) as operator:
        await operator.wait_ready()
        auth: JsonObject = {"tokens": [{"secretKeyRef": {"name": "keys", "key": "current"}}]}
        create(api_server, namespace, auth=auth)

        async def accepted() -> str:
            stored = api_server.call("GET", path_of(naming.API_VERSION, naming.KIND, namespace, "main"))
            conditions = objects_at(stored, "status", "conditions")
            return next((text_at(c, "reason") for c in conditions if c["type"] == "Accepted"), "")

        await eventually(accepted, lambda reason: reason == "SecretNotFound", what="refused", within=15)
        document: JsonObject = {"metadata": {"name": "keys"}, "stringData": {"current": "s" * 40}}
        api_server.call("POST", path_of("v1", "Secret", namespace), document)
        await eventually(accepted, lambda reason: reason not in {"", "SecretNotFound"}, what="accepted", within=15)
        assert dig(api_server.call("GET", path_of("v1", "Secret", namespace, "keys")), "metadata", "labels") is None
