"""Situations of a real operator at a real API server, without the Kubernetes around it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.platforms.kubernetes.client import path_of
from realtime_operator.platforms.kubernetes.permissions import CLUSTERS, LEADER_ELECTION
from tests.kit.apiserver import OPERATOR_USER, ApiServer
from tests.kit.monitoring.situations import done_beside
from tests.kit.monitoring.targets import Targets
from tests.kit.operator_process import OperatorProcess

FAULT_SECONDS = 60
"""Time for which all is well."""
NAMESPACE = "team"
CLUSTER: JsonObject = {
    "apiVersion": naming.API_VERSION,
    "kind": naming.KIND,
    "metadata": {"name": "unlucky"},
    "spec": {},
}
ROLE = f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{OPERATOR_USER}"

Fault = Callable[[ApiServer, OperatorProcess], Awaitable[None]]


@contextlib.asynccontextmanager
async def _operator(targets: Targets, fault: Fault) -> AsyncIterator[None]:
    """Run an operator, and after a while the fault."""
    with ApiServer() as server:
        server.call("POST", "/api/v1/namespaces", {"metadata": {"name": NAMESPACE}})
        async with OperatorProcess(server, NAMESPACE) as operator:
            await operator.wait_ready()
            targets.add_address(f"127.0.0.1:{operator.port}", instance="operator")

            async def later() -> None:
                await asyncio.sleep(FAULT_SECONDS)
                await fault(server, operator)

            async with done_beside(later()):
                yield


def denied_operator(targets: Targets) -> contextlib.AbstractAsyncContextManager[None]:
    """Somebody takes the permission to read Secrets away, and a cluster is created."""

    async def deny(server: ApiServer, _operator: OperatorProcess) -> None:
        left = [p.rule() for p in (*CLUSTERS, *LEADER_ELECTION) if p.resources != ("secrets",)]
        await asyncio.to_thread(server.call, "PATCH", ROLE, {"rules": left})  # type: ignore[dict-item] # JSON
        path = path_of(naming.API_VERSION, naming.KIND, NAMESPACE)
        await asyncio.to_thread(server.call, "POST", path, CLUSTER)

    return _operator(targets, deny)


def killed_operator(targets: Targets) -> contextlib.AbstractAsyncContextManager[None]:
    """The operator's node goes away."""

    async def kill(_server: ApiServer, operator: OperatorProcess) -> None:
        assert operator.process is not None
        operator.process.kill()
        await operator.process.wait()

    return _operator(targets, kill)
