"""Fixtures: an API server for the session; a namespace and clients for each test. A plugin of tests/conftest.py."""

from __future__ import annotations

import itertools
import re
from collections.abc import AsyncIterator, Iterator

import pytest

from realtime_operator.metrics import Metrics
from realtime_operator.platforms.kubernetes.client import KubernetesClient
from tests.kit.apiserver import OPERATOR_USER, ApiServer

_number = itertools.count(1)


@pytest.fixture(scope="session")
def api_server() -> Iterator[ApiServer]:
    """The API server, with the CRD and the operator's role."""
    with ApiServer() as server:
        yield server


@pytest.fixture
def namespace(api_server: ApiServer, request: pytest.FixtureRequest) -> str:
    """A namespace of this test alone."""
    test = re.sub(r"[^a-z0-9]+", "-", str(request.node.name).removeprefix("test_").lower())[:40].strip("-")
    name = f"{test}-{next(_number)}"
    api_server.call("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    return name


@pytest.fixture
async def operator_client(api_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KubernetesClient]:
    """The operator's client, with the operator's permissions and no others."""
    monkeypatch.setenv("KUBECONFIG", str(api_server.kubeconfig(OPERATOR_USER)))
    client = await KubernetesClient.connect(Metrics())
    yield client
    await client.close()


@pytest.fixture
async def admin_client(api_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KubernetesClient]:
    """A client with all permissions, for the parts of controllers, the kubelet and people."""
    monkeypatch.setenv("KUBECONFIG", str(api_server.kubeconfig()))
    client = await KubernetesClient.connect(Metrics())
    yield client
    await client.close()
