"""Tests of PodMonitor and PrometheusRule with the Prometheus operator's own CustomResourceDefinitions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import object_at, text_at
from realtime_operator.platforms.kubernetes.client import path_of
from tests.apiserver.test_operator import create
from tests.kit.apiserver import ApiServer, RefusedError
from tests.kit.custom_kinds import CRDS
from tests.kit.deadline import eventually
from tests.kit.document import parse
from tests.kit.kube import condition
from tests.kit.operator_process import OperatorProcess

FILES = sorted((Path(__file__).parents[1] / "fixtures" / "monitoring" / "crds").glob("*.yaml"))
KINDS = ("PodMonitor", "PrometheusRule")
NOTICED_SECONDS = 60
SETTLED_SECONDS = 3


@pytest.fixture
def definitions(api_server: ApiServer) -> Iterator[None]:
    """CRDs of the Prometheus operator, which are removed after the test."""
    documents = [parse(json.dumps(yaml.safe_load(file.read_text()))) for file in FILES]
    for document in documents:
        api_server.call("POST", CRDS, document)
    yield
    for document in documents:
        api_server.call("DELETE", f"{CRDS}/{text_at(document, 'metadata', 'name')}")


def found(server: ApiServer, namespace: str, name: str = "main") -> dict[str, JsonObject]:
    """Return the existing objects by kind."""
    objects: dict[str, JsonObject] = {}
    for kind in KINDS:
        try:
            objects[kind] = server.call("GET", path_of(naming.MONITORING_API_VERSION, kind, namespace, name))
        except RefusedError as error:
            if error.status != 404:
                raise
    return objects


@pytest.mark.timeout(180)
@pytest.mark.usefixtures("definitions")
async def test_objects_are_made_and_settle(api_server: ApiServer, namespace: str) -> None:
    """Their schemas accept them, nothing is written again, and they go when they are not asked for any more."""
    cluster = path_of(naming.API_VERSION, naming.KIND, namespace, "main")
    create(api_server, namespace, replicas=0, monitoring={})
    async with OperatorProcess(api_server, namespace, watch_namespaces=namespace, resync_seconds=1) as operator:

        async def read() -> dict[str, JsonObject]:
            return found(api_server, namespace)

        made = await eventually(read, lambda seen: set(seen) == set(KINDS), what="objects", within=NOTICED_SECONDS)
        versions = {kind: object_at(live, "metadata")["resourceVersion"] for kind, live in made.items()}
        await asyncio.sleep(SETTLED_SECONDS)
        now = {kind: object_at(live, "metadata")["resourceVersion"] for kind, live in (await read()).items()}
        assert now == versions
        api_server.call("PATCH", cluster, {"spec": {"monitoring": None}})
        await eventually(read, lambda seen: seen == {}, what="no objects", within=NOTICED_SECONDS)
        assert "Traceback" not in operator.log()


@pytest.mark.timeout(180)
async def test_without_the_definitions_only_a_demand_is_reported(api_server: ApiServer, namespace: str) -> None:
    """What is made where it is possible is left out silently; what is always wanted makes the cluster Degraded."""
    cluster = path_of(naming.API_VERSION, naming.KIND, namespace, "main")
    create(api_server, namespace, replicas=0, monitoring={})
    async with OperatorProcess(api_server, namespace, watch_namespaces=namespace, resync_seconds=1):

        async def degraded() -> JsonObject:
            return condition(api_server.call("GET", cluster), "Degraded")

        seen = await eventually(degraded, bool, what="a status", within=NOTICED_SECONDS)
        assert seen.get("reason") != "KindNotServed"
        api_server.call("PATCH", cluster, {"spec": {"monitoring": {"podMonitor": {"create": "Always"}}}})
        seen = await eventually(
            degraded, lambda now: "KindNotServed" in str(now), what="the missing kind", within=NOTICED_SECONDS
        )
        assert "spec.monitoring.podMonitor" in text_at(seen, "message")
        assert "spec.monitoring.prometheusRule" not in text_at(seen, "message")
