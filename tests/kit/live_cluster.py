"""A running cluster in a real Kubernetes, seen from outside: object, endpoints, credentials, servers."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Mapping

import aiohttp

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.api import ServerApi
from tests.kit.deadline import eventually
from tests.kit.document import dig, object_at, objects_at, parse, text_at, whole_at
from tests.kit.kill import kill_pod
from tests.kit.kube import Kube, is_ready, name_of
from tests.kit.listener import accepts
from tests.kit.running_cluster import READY_SECONDS, ClusterEvent, RunningServer, is_observed, is_settled
from tests.kit.tokens import connection_token

REACHABLE_SECONDS = 15
ADMIN_SECONDS = 5


class LiveCluster:
    """Implements RunningCluster for a RealtimeCluster of the namespace that `kube` is for."""

    def __init__(self, kube: Kube, name: str) -> None:
        self.kube = kube
        self.name = name

    async def apply(self, document: JsonObject) -> None:
        """Apply the object, which is this cluster's from now on."""
        self.name = name_of(document)
        await self.kube.apply(document)

    async def patch(self, **spec: object) -> None:
        """See RunningCluster."""
        await self.kube.patch(naming.PLURAL, self.name, parse(json.dumps({"spec": spec})))

    async def get(self) -> JsonObject:
        """See RunningCluster."""
        found = await self.kube.get(naming.PLURAL, self.name)
        assert found is not None, f"{self.name} does not exist"
        return found

    async def wait(self, fact: Callable[[JsonObject], bool], *, what: str, within: float = READY_SECONDS) -> JsonObject:
        """See RunningCluster."""
        return await self.kube.wait_for(
            naming.PLURAL, self.name, lambda o: is_observed(o) and fact(o), what=what, within=within
        )

    async def wait_ready(self, *, within: float = READY_SECONDS) -> JsonObject:
        """See RunningCluster."""
        return await self.wait(is_settled, what="Ready and settled", within=within)

    async def address(self, service: str, port_name: str) -> str:
        """Return host:port of a port of a Service, once it is reachable: kube-proxy lags by about a second."""
        found = await self.kube.get("services", service)
        assert found is not None, f"Service {service} does not exist"
        port = next(whole_at(p, "port") for p in objects_at(found, "spec", "ports") if p.get("name") == port_name)
        host = text_at(found, "spec", "clusterIP")
        await eventually(lambda: accepts(host, port), bool, what=f"{host}:{port} reachable", within=REACHABLE_SECONDS)
        return f"{host}:{port}"

    async def url(self) -> str:
        """See RunningCluster."""
        address = await self.address(naming.client_service(self.name), naming.PORT_NAME_CLIENT)
        return f"ws://{address}/connection/websocket"

    async def credential(self, key: str) -> str:
        """See RunningCluster."""
        secret = await self.kube.get("secrets", naming.credentials_secret(self.name))
        assert secret is not None, "there are no generated credentials"
        return base64.b64decode(text_at(secret, "data", key)).decode()

    async def api(self) -> ServerApi:
        """See RunningCluster."""
        address = await self.address(naming.api_service(self.name), naming.PORT_NAME_API)
        return ServerApi(f"http://{address}", await self.credential(naming.KEY_API))

    async def token(self, user: str) -> str:
        """See RunningCluster."""
        return connection_token(await self.credential(naming.KEY_TOKEN_SECRET), user)

    async def pods(self) -> list[JsonObject]:
        """Return all server pods, sorted by name."""
        selector = f"{naming.LABEL_CLUSTER}={self.name},{naming.LABEL_COMPONENT}={naming.COMPONENT_SERVER}"
        return sorted(await self.kube.list("pods", selector), key=name_of)

    async def available(self) -> list[JsonObject]:
        """Return the server pods that take new connections: ready, serving, and not being deleted."""
        return [pod for pod in await self.pods() if is_ready(pod) and is_serving(pod)]

    async def admin(self, pod: JsonObject) -> JsonObject:
        """Return a server's report; raises aiohttp's errors when it does not answer."""
        token = await self.credential(naming.KEY_ADMIN_TOKEN)
        url = f"http://{text_at(pod, 'status', 'podIP')}:{naming.PORT_ADMIN}/admin/v1/status"
        timeout = aiohttp.ClientTimeout(total=ADMIN_SECONDS)
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, headers=headers) as response:
            response.raise_for_status()  # 503: its workers have ended
            return parse(await response.read())

    async def connections(self, *, within: float = ADMIN_SECONDS) -> dict[str, int]:
        """Return the connections of each server that answers within `within` seconds, by pod name."""
        pods = await self.pods()
        counts = await asyncio.gather(*(self._connections_of(pod, within) for pod in pods))
        return {name_of(pod): count for pod, count in zip(pods, counts, strict=True) if count is not None}

    async def _connections_of(self, pod: JsonObject, within: float) -> int | None:
        try:
            async with asyncio.timeout(within):
                return whole_at(await self.admin(pod), "connections")
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def servers(self) -> list[RunningServer]:
        """See RunningCluster; connections are those of the status."""
        pods, cluster = await asyncio.gather(self.pods(), self.get())
        connections = {text_at(s, "name"): dig(s, "connections") for s in objects_at(cluster, "status", "servers")}
        return [_server(pod, connections.get(name_of(pod))) for pod in pods]

    async def kill_server(self, name: str) -> None:
        """See RunningCluster."""
        for pod in await self.pods():
            if name_of(pod) == name:
                await kill_pod(self.kube, pod)

    async def kill_redis(self) -> None:
        """See RunningCluster."""
        selector = f"{naming.LABEL_CLUSTER}={self.name},{naming.LABEL_COMPONENT}={naming.COMPONENT_REDIS}"
        (pod,) = await self.kube.list("pods", selector)
        await kill_pod(self.kube, pod)

    async def scale(self, replicas: int) -> None:
        """Scale with `kubectl scale`."""
        await self.kube.kubectl("scale", "rtc", self.name, f"--replicas={replicas}")

    async def put_secret(self, name: str, values: Mapping[str, str]) -> None:
        """See RunningCluster."""
        metadata: JsonObject = {"name": name}
        await self.kube.apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": {**values}})

    async def events(self) -> list[ClusterEvent]:
        """See RunningCluster."""
        return [
            ClusterEvent(text_at(event, "type"), text_at(event, "reason"), text_at(event, "message"))
            for event in await self.kube.list("events")
            if text_at(event, "involvedObject", "name") == self.name
            and text_at(event, "involvedObject", "kind") == naming.KIND
        ]

    async def writes(self) -> dict[tuple[str, str], str]:
        """Return the resourceVersions of the cluster and of all objects that it owns."""
        versions = {
            (kind, name_of(item)): text_at(item, "metadata", "resourceVersion")
            for kind in CHILD_KINDS
            for item in await self.kube.list(kind, f"{naming.LABEL_CLUSTER}={self.name}")
        }
        versions[naming.PLURAL, self.name] = text_at(await self.get(), "metadata", "resourceVersion")
        return versions

    async def children(self) -> dict[tuple[str, str], str]:
        """Return the uids of the objects that the cluster owns directly, by (plural kind, name)."""
        found: dict[tuple[str, str], str] = {}
        for kind in CHILD_KINDS:
            for item in await self.kube.list(kind, f"{naming.LABEL_CLUSTER}={self.name}"):
                owners = objects_at(item, "metadata", "ownerReferences")
                if any(owner.get("kind") == naming.KIND for owner in owners):
                    found[kind, name_of(item)] = text_at(item, "metadata", "uid")
        return found


CHILD_KINDS = (
    "serviceaccounts",
    "secrets",
    "configmaps",
    "services",
    "statefulsets",
    "replicasets",
    "poddisruptionbudgets",
    "networkpolicies",
)
"""Plural names of the kinds of a cluster's objects."""


def is_serving(pod: JsonObject) -> bool:
    """Return True when the pod is selected by the client Service."""
    return object_at(pod, "metadata", "labels").get(naming.LABEL_SERVING) == "true"


def _server(pod: JsonObject, connections: JsonValue) -> RunningServer:
    return RunningServer(
        name=name_of(pod),
        revision=text_at(pod, "metadata", "labels", naming.LABEL_REVISION),
        ready=is_ready(pod),
        serving=is_serving(pod),
        connections=connections if isinstance(connections, int) else None,
    )
