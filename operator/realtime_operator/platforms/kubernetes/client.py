"""Client of the API server: JSON objects, a timeout on each request, errors as PlatformErrors."""

from __future__ import annotations

import json
import os
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import cast

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.config.config_exception import ConfigException

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import object_at, objects_at, text_at
from realtime_operator.builders.optional_kinds import OPTIONAL_KINDS
from realtime_operator.errors import (
    ConflictError,
    ForbiddenError,
    InvalidObjectError,
    NotFoundError,
    PlatformError,
    UnreachableError,
)
from realtime_operator.metrics import Metrics
from realtime_operator.platforms.kubernetes.contact import Contact

REQUEST_SECONDS = 10.0
PAGE = 250
"""Objects per page of a list."""
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

PLURALS: Mapping[tuple[str, str], str] = {
    (naming.API_VERSION, naming.KIND): naming.PLURAL,
    ("v1", "ConfigMap"): "configmaps",
    ("v1", "Event"): "events",
    ("v1", "PersistentVolumeClaim"): "persistentvolumeclaims",
    ("v1", "Pod"): "pods",
    ("v1", "Secret"): "secrets",
    ("v1", "Service"): "services",
    ("v1", "ServiceAccount"): "serviceaccounts",
    ("apps/v1", "ReplicaSet"): "replicasets",
    ("apps/v1", "StatefulSet"): "statefulsets",
    ("networking.k8s.io/v1", "Ingress"): "ingresses",
    ("policy/v1", "PodDisruptionBudget"): "poddisruptionbudgets",
    ("networking.k8s.io/v1", "NetworkPolicy"): "networkpolicies",
    ("coordination.k8s.io/v1", "Lease"): "leases",
    **{kind.key: kind.plural for kind in OPTIONAL_KINDS},
}
"""Plural names of all kinds that the operator uses, by apiVersion and kind."""

KINDS = {(api_version, plural): kind for (api_version, kind), plural in PLURALS.items()}

IN_CLUSTER = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


def in_cluster() -> bool:
    """Return True when this process runs in a pod with a service account."""
    return IN_CLUSTER.exists()


def path_of(api_version: str, kind: str, namespace: str, name: str = "", subresource: str = "") -> str:
    """Return the API path of a collection (no name), an object, or a subresource."""
    root = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
    parts = (f"{root}/namespaces/{namespace}/{PLURALS[api_version, kind]}", name, subresource)
    return "/".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Address:
    """Target of a path of the API server: a collection (no name), an object or a subresource of one."""

    api_version: str
    kind: str
    namespace: str
    name: str
    subresource: str


def address_of(path: str) -> Address | None:
    """Parse an API path, also one of a collection in all namespaces; None for unknown paths. Inverse of `path_of`."""
    match = _PATH.fullmatch(path)
    if match is None:
        return None
    api_version = match["core"] or match["group"]
    kind = KINDS.get((api_version, match["plural"]))
    if kind is None:
        return None
    return Address(api_version, kind, match["namespace"] or "", match["name"] or "", match["subresource"] or "")


_PATH = re.compile(
    r"/(?:api/(?P<core>[^/]+)|apis/(?P<group>[^/]+/[^/]+))(?:/namespaces/(?P<namespace>[^/]+))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<subresource>[^/]+))?"
)

Answered = Callable[[str, str, JsonObject], None]
"""Callback with the method, the path and the answer of a successful request."""


@dataclass(frozen=True, slots=True)
class WebSocketAccess:
    """Access for a WebSocket client: the URL, headers for the handshake, TLS."""

    url: str
    headers: Mapping[str, str]
    ssl_context: ssl.SSLContext | None


@dataclass(frozen=True, slots=True)
class Context:
    """Cluster and namespace that a KUBECONFIG means."""

    name: str
    namespace: str


def context_of(name: str | None) -> Context:
    """Return a context of the KUBECONFIG (None: the current one); raises PlatformError when it does not exist."""
    path = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if not any(Path(part).exists() for part in path.split(os.pathsep)):
        raise PlatformError(f"there is no KUBECONFIG ({path})")
    try:
        contexts, current = config.list_kube_config_contexts(path)  # type: ignore[no-untyped-call]
    except (ConfigException, OSError) as error:
        raise PlatformError(f"no KUBECONFIG that can be used: {error}") from error
    known = {str(entry["name"]): entry for entry in contexts}
    chosen = known.get(name) if name is not None else current
    if chosen is None:
        raise PlatformError(f"the KUBECONFIG has no context {name}, but {', '.join(known) or 'none'}")
    return Context(str(chosen["name"]), str(chosen["context"].get("namespace") or "default"))


class KubernetesClient:
    """Client of the API server, one for the process. Every method raises PlatformError, and nothing else."""

    def __init__(self, api: client.ApiClient, metrics: Metrics) -> None:
        self._api = api
        self._metrics = metrics
        self._raw: aiohttp.ClientSession | None = None
        self.contact = Contact()
        self.answered: Answered = lambda _method, _path, _document: None
        """Called with every answer that is an object, a list or a Status."""
        self._api.user_agent = f"realtime-operator/{version('realtime-operator')}"

    @classmethod
    async def connect(cls, metrics: Metrics, context: str | None = None) -> KubernetesClient:
        """Connect with the pod's service account, or with a context of the KUBECONFIG (None: the current one)."""
        configuration = client.Configuration()
        # As kubectl does: CAs of clusters that are some years old have no key identifiers.
        configuration.disable_strict_ssl_verification = True
        try:
            if in_cluster() and context is None:
                config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
            else:
                path = os.environ.get("KUBECONFIG")
                await config.load_kube_config(path, context, configuration)  # type: ignore[no-untyped-call]
        except (ConfigException, OSError) as error:
            raise PlatformError(f"no credentials for a Kubernetes cluster: {error}") from error
        return cls(client.ApiClient(configuration), metrics)

    async def close(self) -> None:
        """Close all connections."""
        if self._raw is not None:
            await self._raw.close()
        await self._api.close()  # type: ignore[no-untyped-call]

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> JsonObject:
        """Read an object or a list."""
        return await self._request("GET", path, query=query)

    def session(self, middleware: aiohttp.ClientMiddlewareType) -> aiohttp.ClientSession:
        """Return a new session with this client's credentials, whose requests pass the middleware first."""

        async def authorized(
            request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
        ) -> aiohttp.ClientResponse:
            _, _, headers, _, _ = await self._api.param_serialize(
                method=request.method, resource_path=request.url.path, auth_settings=["BearerToken"]
            )
            for name, value in headers.items():
                if name.lower() == "authorization":
                    request.headers[name] = value
            return await handler(request)

        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=self._ssl_context),
            headers={"User-Agent": self._api.user_agent},
            middlewares=(middleware, authorized),
            trust_env=True,
        )

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return str(self._api.configuration.host)

    async def list_items(self, path: str, label_selector: str) -> list[JsonObject]:
        """Return the objects of a collection that match the selector, with kind and apiVersion, which lists omit."""
        items: list[JsonObject] = []
        query = {"labelSelector": label_selector, "limit": str(PAGE)}
        while True:
            found = await self.get(path, query)
            items += items_of(found)
            following = text_at(found, "metadata", "continue")
            if not following:
                return items
            query["continue"] = following

    async def create(self, path: str, document: JsonObject) -> JsonObject:
        """Create an object."""
        return await self._request("POST", path, body=document, query={"fieldManager": naming.FIELD_MANAGER})

    async def try_to_create(self, path: str, document: JsonObject) -> None:
        """Have an object validated as for its creation, unknown fields included; nothing is stored.

        Raises InvalidObjectError when the API server would refuse it.
        """
        query = {"fieldManager": naming.FIELD_MANAGER, "dryRun": "All", "fieldValidation": "Strict"}
        await self._request("POST", path, body=document, query=query)

    async def replace(self, path: str, document: JsonObject) -> JsonObject:
        """Replace an object; raises ConflictError when its resourceVersion is not the stored one."""
        return await self._request("PUT", path, body=document, query={"fieldManager": naming.FIELD_MANAGER})

    async def apply(self, path: str, document: JsonObject) -> JsonObject:
        """Apply on the server side as the operator's field manager; conflicts with other managers are overridden."""
        query = {"fieldManager": naming.FIELD_MANAGER, "force": "true"}
        return await self._request("PATCH", path, body=document, query=query, content_type=APPLY_PATCH)

    async def patch(self, path: str, document: JsonObject, uid: str = "") -> JsonObject:
        """JSON merge patch (RFC 7396); with `uid` only of this very object: raises ConflictError otherwise."""
        query = {"fieldManager": naming.FIELD_MANAGER}
        if uid:
            document = {**document, "metadata": {**object_at(document, "metadata"), "uid": uid}}
        return await self._request("PATCH", path, body=document, query=query, content_type=MERGE_PATCH)

    async def delete(
        self, path: str, uid: str = "", resource_version: str = "", *, orphans_children: bool = False
    ) -> None:
        """Delete an object, and its children in the background or not at all; succeeds when it does not exist.

        With `uid` or `resource_version` the object is deleted only if it has them; raises ConflictError otherwise.
        """
        options: JsonObject = {"propagationPolicy": "Orphan" if orphans_children else "Background"}
        given = {"uid": uid, "resourceVersion": resource_version}
        preconditions: JsonObject = {name: value for name, value in given.items() if value}
        if preconditions:
            options["preconditions"] = preconditions
        try:
            await self._request("DELETE", path, body=options)
        except NotFoundError:
            return

    async def call(self, method: str, path: str, *, headers: Mapping[str, str], body: bytes = b"") -> bytes:
        """Send a request to a service behind the API server's proxy; return the raw body."""
        _, url, own_headers, _, _ = await self._api.param_serialize(
            method=method, resource_path=path, header_params=dict(headers), auth_settings=["BearerToken"]
        )
        session = self._session()
        timeout = aiohttp.ClientTimeout(total=REQUEST_SECONDS)
        try:
            async with session.request(
                method, url, headers=own_headers, data=body, ssl=self._ssl_context, timeout=timeout
            ) as response:
                text = await response.read()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UnreachableError(f"{method} {path}: {type(error).__name__}: {error}") from error
        if response.status >= 400:
            raise _narrowed(response.status, method, path, text)
        return text

    async def blocks(self, path: str, headers: Mapping[str, str]) -> AsyncIterator[bytes]:
        """Yield the body of a service's answer behind the API server's proxy as it arrives; raises PlatformError."""
        _, url, own_headers, _, _ = await self._api.param_serialize(
            method="GET", resource_path=path, header_params=dict(headers), auth_settings=["BearerToken"]
        )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_SECONDS, sock_read=REQUEST_SECONDS)
        session = self._session()
        try:
            async with session.get(url, headers=own_headers, ssl=self._ssl_context, timeout=timeout) as response:
                if response.status >= 400:
                    raise _narrowed(response.status, "GET", path, await response.read())
                async for block in response.content.iter_any():
                    yield block
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UnreachableError(f"GET {path}: {type(error).__name__}: {error}") from error

    async def lines(self, path: str, query: Mapping[str, str]) -> AsyncIterator[str]:
        """Yield the lines of a streamed answer until the server ends it; raises PlatformError."""
        _, url, headers, _, _ = await self._api.param_serialize(
            method="GET", resource_path=path, query_params=list(query.items()), auth_settings=["BearerToken"]
        )
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=REQUEST_SECONDS)
        try:
            async with self._session().get(url, headers=headers, ssl=self._ssl_context, timeout=timeout) as response:
                if response.status >= 400:
                    raise _narrowed(response.status, "GET", path, await response.read())
                async for line in response.content:
                    yield line.decode(errors="replace").rstrip("\n")
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise UnreachableError(f"GET {path}: {type(error).__name__}: {error}") from error

    async def websocket(self, path: str) -> WebSocketAccess:
        """Return what is needed to open a WebSocket to a service behind the API server's proxy."""
        _, url, headers, _, _ = await self._api.param_serialize(
            method="GET", resource_path=path, auth_settings=["BearerToken"]
        )
        kept = {name: value for name, value in headers.items() if name.lower() == "authorization"}
        secure = url.startswith("https:")
        return WebSocketAccess("ws" + url.removeprefix("http"), kept, self._ssl_context if secure else None)

    def _session(self) -> aiohttp.ClientSession:
        """Return a session for streams; the library's own reads every answer as a whole."""
        if self._raw is None:
            self._raw = aiohttp.ClientSession(trust_env=True)
        return self._raw

    @property
    def _ssl_context(self) -> ssl.SSLContext:
        context: ssl.SSLContext = self._api.rest_client.ssl_context
        return context

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: JsonObject | None = None,
        content_type: str = "application/json",
    ) -> JsonObject:
        verb, url, headers, data, _form = await self._api.param_serialize(
            method=method,
            resource_path=path,
            query_params=list((query or {}).items()),
            header_params={"Content-Type": content_type, "Accept": "application/json"},
            body=body,
            auth_settings=["BearerToken"],
        )
        began = self.contact.began()
        try:
            response = await self._api.call_api(verb, url, headers, data, _request_timeout=REQUEST_SECONDS)
            text = await response.read()  # type: ignore[no-untyped-call]
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self._metrics.api_requests.labels(method, "none").inc()
            self.contact.failed(began)
            raise UnreachableError(f"{method} {path}: {type(error).__name__}: {error}") from error
        finally:
            self.contact.ended(began)
        self.contact.succeeded(began)
        self._metrics.api_requests.labels(method, str(response.status)).inc()
        if response.status >= 400:
            raise _narrowed(response.status, method, path, text)
        document = cast("JsonObject", json.loads(text))
        if "dryRun" not in (query or {}):
            self.answered(method, path, document)
        return document


def items_of(found: JsonObject) -> list[JsonObject]:
    """Return the items of a list with kind and apiVersion, which lists leave out."""
    kind = text_at(found, "kind").removesuffix("List")
    return [{"apiVersion": found.get("apiVersion"), "kind": kind, **item} for item in objects_at(found, "items")]


def _narrowed(status: int, method: str, path: str, text: bytes) -> PlatformError:
    message, causes = _refusal(text)
    kinds: dict[int, type[PlatformError]] = {
        401: ForbiddenError,
        403: ForbiddenError,
        404: NotFoundError,
        409: ConflictError,
    }
    kind = kinds.get(status, PlatformError)
    if status == 422 and any(field == "metadata.uid" for field, _ in causes):
        kind = ConflictError  # a patch of another object than the one that has the name now
    elif status == 422 or (status == 400 and causes):
        return InvalidObjectError(f"{method} {path}: {status}: {message}", causes)
    return kind(f"{method} {path}: {status}: {message}")


_UNKNOWN_FIELD = re.compile(r'unknown field "([^"]+)"')
_WRONG_TYPE = re.compile(r"cannot unmarshal (\w+) into Go struct field \w+\.(\S+) of type (\S+)")


def _refusal(text: bytes) -> tuple[str, list[tuple[str, str]]]:
    """Return the message of a Status, and the fields that it finds wrong with the message of each."""
    try:
        document: JsonObject = json.loads(text)
        message = str(document["message"])
    except (ValueError, KeyError, TypeError):
        return text[:200].decode(errors="replace"), []
    causes = [
        (text_at(cause, "field"), text_at(cause, "message")) for cause in objects_at(document, "details", "causes")
    ]
    causes += [(field, "is not a known field") for field in _UNKNOWN_FIELD.findall(message)]
    causes += [
        (field, f"must be of type {kind.lstrip('*')}, and not {given}")
        for given, field, kind in _WRONG_TYPE.findall(message)
    ]
    return message, causes
