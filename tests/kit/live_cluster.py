"""One RealtimeCluster in a real Kubernetes, as its users see it: object, endpoints, credentials, servers."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path

import aiohttp
import yaml

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from tests.kit.api import ServerApi
from tests.kit.deadline import eventually
from tests.kit.document import dig, object_at, objects_at, parse, text_at, whole_at
from tests.kit.kube import Kube, has_condition, is_ready, name_of
from tests.kit.tokens import connection_token

READY_SECONDS = 60
REACHABLE_SECONDS = 15
ADMIN_SECONDS = 5


def manifest(name: str, **spec: object) -> JsonObject:
    """Return a small cluster with a recoverable namespace `chat`; `spec` replaces top-level fields of its spec."""
    chat = {"name": "chat", "history": {"size": 2000, "ttl": "10m"}, "recovery": True, "presence": True}
    defaults: dict[str, object] = {
        "replicas": 2,
        "namespaces": [{**chat, "publish": "subscribers"}],
        "rollout": {"maxSurge": 1, "maxUnavailable": 0, "drain": {"connectionsPerSecond": 20, "settle": "1s"}},
    }
    document = {
        "apiVersion": naming.API_VERSION,
        "kind": naming.KIND,
        "metadata": {"name": name},
        "spec": {**defaults, **spec},
    }
    return parse(json.dumps(document))


def manifests_of(path: Path) -> list[JsonObject]:
    """Return the objects of a YAML file."""
    return [parse(json.dumps(document)) for document in yaml.safe_load_all(path.read_text()) if document]


class LiveCluster:
    """A RealtimeCluster of the namespace that `kube` is for."""

    def __init__(self, kube: Kube, name: str) -> None:
        self.kube = kube
        self.name = name

    async def apply(self, document: JsonObject) -> None:
        """`kubectl apply` the cluster."""
        await self.kube.apply(document)

    async def patch(self, **spec: object) -> None:
        """Merge-patch fields of the spec."""
        await self.kube.patch(naming.PLURAL, self.name, parse(json.dumps({"spec": spec})))

    async def get(self) -> JsonObject:
        """Return the object; it must exist."""
        found = await self.kube.get(naming.PLURAL, self.name)
        assert found is not None, f"{self.name} does not exist"
        return found

    async def wait(self, fact: Callable[[JsonObject], bool], *, what: str, within: float = READY_SECONDS) -> JsonObject:
        """Wait until a fact holds for the object as the operator has last reported on this generation."""
        return await self.kube.wait_for(
            naming.PLURAL, self.name, lambda o: is_observed(o) and fact(o), what=what, within=within
        )

    async def wait_ready(self, *, within: float = READY_SECONDS) -> JsonObject:
        """Wait until the cluster is Ready with its last spec and nothing moves any more."""
        return await self.wait(is_settled, what="Ready and settled", within=within)

    async def address(self, service: str, port_name: str) -> str:
        """Return host:port of a port of a Service, once it can be reached: kube-proxy follows a second behind."""
        found = await self.kube.get("services", service)
        assert found is not None, f"Service {service} does not exist"
        port = next(whole_at(p, "port") for p in objects_at(found, "spec", "ports") if p.get("name") == port_name)
        host = text_at(found, "spec", "clusterIP")
        await eventually(lambda: accepts(host, port), bool, what=f"{host}:{port} reachable", within=REACHABLE_SECONDS)
        return f"{host}:{port}"

    async def url(self) -> str:
        """Return where clients connect."""
        address = await self.address(naming.client_service(self.name), naming.PORT_NAME_CLIENT)
        return f"ws://{address}/connection/websocket"

    async def credential(self, key: str) -> str:
        """Return a value of the generated Secret."""
        secret = await self.kube.get("secrets", naming.credentials_secret(self.name))
        assert secret is not None, "there are no generated credentials"
        return base64.b64decode(text_at(secret, "data", key)).decode()

    async def api(self) -> ServerApi:
        """Return a client of the HTTP API, with the generated key."""
        address = await self.address(naming.api_service(self.name), naming.PORT_NAME_API)
        return ServerApi(f"http://{address}", await self.credential(naming.KEY_API))

    async def token(self, user: str) -> str:
        """Return a connection token, signed with the generated secret."""
        return connection_token(await self.credential(naming.KEY_TOKEN_SECRET), user)

    async def pods(self) -> list[JsonObject]:
        """Return the server pods, whatever their state, by name."""
        selector = f"{naming.LABEL_CLUSTER}={self.name},{naming.LABEL_COMPONENT}={naming.COMPONENT_SERVER}"
        return sorted(await self.kube.list("pods", selector), key=name_of)

    async def available(self) -> list[JsonObject]:
        """Return the server pods that new connections reach: ready, serving, and not going away."""
        return [pod for pod in await self.pods() if is_ready(pod) and is_serving(pod)]

    async def admin(self, pod: JsonObject) -> JsonObject:
        """Return what a server says of itself; raises what aiohttp raises when it does not answer."""
        token = await self.credential(naming.KEY_ADMIN_TOKEN)
        url = f"http://{text_at(pod, 'status', 'podIP')}:{naming.PORT_ADMIN}/admin/v1/status"
        timeout = aiohttp.ClientTimeout(total=ADMIN_SECONDS)
        headers = {"Authorization": f"Bearer {token}"}
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(url, headers=headers) as response:
            assert response.status == 200, f"{url}: {response.status}"
            return parse(await response.read())

    async def connections(self, *, within: float = ADMIN_SECONDS) -> dict[str, int]:
        """Return the number of connections of each server that answers within so many seconds, by pod name."""
        pods = await self.pods()
        counts = await asyncio.gather(*(self._connections_of(pod, within) for pod in pods))
        return {name_of(pod): count for pod, count in zip(pods, counts, strict=True) if count is not None}

    async def _connections_of(self, pod: JsonObject, within: float) -> int | None:
        try:
            async with asyncio.timeout(within):
                return whole_at(await self.admin(pod), "connections")
        except (aiohttp.ClientError, TimeoutError):
            return None

    async def children(self) -> dict[tuple[str, str], str]:
        """Return the uid of everything that the cluster owns directly, by (kind in plural, name)."""
        found: dict[tuple[str, str], str] = {}
        for kind in CHILD_KINDS:
            for item in await self.kube.list(kind, f"{naming.LABEL_CLUSTER}={self.name}"):
                owners = objects_at(item, "metadata", "ownerReferences")
                if any(owner.get("kind") == naming.KIND for owner in owners):
                    found[kind, name_of(item)] = text_at(item, "metadata", "uid")
        return found

    async def wait_for_servers(self, fact: Callable[[list[JsonObject]], bool], *, what: str, within: float) -> None:
        """Wait until a fact holds for the list of server pods."""
        await eventually(self.pods, fact, what=what, within=within, show=lambda pods: [_describe(pod) for pod in pods])


CHILD_KINDS = (
    "serviceaccounts",
    "secrets",
    "configmaps",
    "services",
    "statefulsets",
    "replicasets",
    "poddisruptionbudgets",
)
"""Everything that a cluster is made of."""


async def accepts(host: str, port: int) -> bool:
    """Whether somebody accepts a connection there within a second."""
    try:
        async with asyncio.timeout(1):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def is_observed(document: JsonObject) -> bool:
    """Whether the operator has reported on this generation of the spec."""
    return dig(document, "status", "observedGeneration") == dig(document, "metadata", "generation")


def is_settled(document: JsonObject) -> bool:
    """Whether the cluster is ready, with one revision, and nothing is being rolled out."""
    status = object_at(document, "status")
    return (
        status.get("phase") == "Ready"
        and has_condition(document, "Ready")
        and has_condition(document, "Progressing", "False")
        and status.get("currentRevision") == status.get("targetRevision")
        and is_observed(document)
    )


def is_serving(pod: JsonObject) -> bool:
    """Whether the pod is behind the client Service."""
    return object_at(pod, "metadata", "labels").get(naming.LABEL_SERVING) == "true"


def _describe(pod: JsonObject) -> str:
    state = "ready" if is_ready(pod) else text_at(pod, "status", "phase")
    return f"{name_of(pod)}: {state}{'' if is_serving(pod) else ', quiesced'}"
