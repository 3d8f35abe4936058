"""A Kubernetes cluster as a target of commands, through its API server and with the user's credentials.

Servers and Services are reached through the API server's proxy, so that no route to them is needed. In the namespace
the user needs permissions to read RealtimeClusters, ReplicaSets, Pods, Events and Secrets, to use pods/proxy,
services/proxy and pods/log, and, for commands that change something, to patch RealtimeClusters and Pods.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.crd import build_crd
from realtime_operator.api.document import dig, object_at, objects_at, text_at
from realtime_operator.api.errors import Finding as SpecFinding
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import BuildSettings, build_secrets
from realtime_operator.cli.target import (
    NO_HISTORY,
    ClientEndpoint,
    Event,
    Finding,
    Severity,
    credential,
    find,
    name_of,
    read_cluster,
)
from realtime_operator.errors import (
    ConflictError,
    ForbiddenError,
    InputError,
    InvalidObjectError,
    NotFoundError,
    PlatformError,
)
from realtime_operator.metrics import Metrics
from realtime_operator.planning.decisions.policies import PlannerSettings
from realtime_operator.planning.model.difference import controller_uid
from realtime_operator.planning.model.world import ObjectKey, Server, ServerReport, World, object_key
from realtime_operator.platforms.kubernetes.client import Context, KubernetesClient, context_of, path_of
from realtime_operator.platforms.kubernetes.dry_run import DryRun
from realtime_operator.platforms.kubernetes.observe import DRAIN_REQUESTED, read_server
from realtime_operator.pods.admin_client import read_report

NEEDED = (
    (naming.GROUP, naming.PLURAL, "", "list"),
    (naming.GROUP, naming.PLURAL, "", "patch"),
    ("apps", "replicasets", "", "list"),
    ("", "pods", "", "list"),
    ("", "pods", "proxy", "get"),
    ("", "pods", "log", "get"),
    ("", "services", "proxy", "create"),
    ("", "secrets", "", "get"),
    ("", "events", "", "list"),
)
"""Permissions that the commands need: group, resource, subresource, verb."""
SKEW_SECONDS = 5.0
HISTORY_PATH = "/admin/v1/history"


class KubernetesTarget:
    """Implements Target for one namespace."""

    def __init__(self, client: KubernetesClient, context: Context, namespace: str) -> None:
        self.description = f"Kubernetes (context {context.name}, namespace {namespace})"
        self._client = client
        self._namespace = namespace
        self._api_keys: dict[str, str] = {}
        """API keys by cluster, read once per command."""
        self._clusters: dict[str, RealtimeCluster] = {}

    @classmethod
    async def open(cls, context: str | None, namespace: str | None) -> KubernetesTarget:
        """Open a context of the KUBECONFIG; raises PlatformError."""
        chosen = context_of(context)
        client = await KubernetesClient.connect(Metrics(), context)
        return cls(client, chosen, namespace or chosen.namespace)

    async def close(self) -> None:
        """See Target."""
        await self._client.close()

    async def clusters(self) -> Sequence[JsonObject]:
        """See Target."""
        try:
            items = await self._client.list_items(path_of(naming.API_VERSION, naming.KIND, self._namespace), "")
        except NotFoundError as error:
            raise PlatformError(
                f"{self.description} has no RealtimeCluster resource: install the operator (docs/guides/install.md)"
            ) from error
        return sorted(items, key=name_of)

    async def patch(self, name: str, spec: JsonObject) -> JsonObject:
        """See Target."""
        await find(self, name)
        path = path_of(naming.API_VERSION, naming.KIND, self._namespace, name)
        try:
            return await self._client.patch(path, {"spec": spec})
        except (ForbiddenError, NotFoundError):
            raise
        except PlatformError as error:
            raise InputError(str(error)) from error

    async def events(self, name: str) -> Sequence[Event]:
        """See Target."""
        await find(self, name)
        query = {"fieldSelector": f"involvedObject.kind={naming.KIND},involvedObject.name={name}"}
        found = objects_at(await self._client.get(path_of("v1", "Event", self._namespace), query), "items")
        events = [
            Event(
                text_at(item, "lastTimestamp"), text_at(item, "type"), text_at(item, "reason"), text_at(item, "message")
            )
            for item in found
        ]
        return sorted(events, key=lambda event: event.at)

    async def secret(self, name: str) -> Mapping[str, str]:
        """See Target."""
        try:
            found = await self._client.get(path_of("v1", "Secret", self._namespace, name))
        except NotFoundError:
            return {}
        data = found.get("data")
        items = data.items() if isinstance(data, dict) else ()
        return {key: base64.b64decode(str(value)).decode() for key, value in items}

    async def servers(self, name: str) -> Sequence[Server]:
        """See Target."""
        selector = f"{naming.LABEL_CLUSTER}={name},{naming.LABEL_COMPONENT}={naming.COMPONENT_SERVER}"
        pods = await self._client.list_items(path_of("v1", "Pod", self._namespace), selector)
        tokens = await self._admin_tokens(name)
        reports = await asyncio.gather(*(self._report(text_at(pod, "metadata", "name"), tokens) for pod in pods))
        servers = [read_server(pod, report) for pod, report in zip(pods, reports, strict=True)]
        return sorted(servers, key=lambda server: server.name)

    async def replica_sets(self, name: str) -> Mapping[ObjectKey, JsonObject]:
        """See Target."""
        uid = text_at(await find(self, name), "metadata", "uid")
        selector = f"{naming.LABEL_CLUSTER}={name}"
        items = await self._client.list_items(path_of("apps/v1", "ReplicaSet", self._namespace), selector)
        return {object_key(item): item for item in items if controller_uid(item) == uid}

    async def planner_settings(self, name: str) -> PlannerSettings:
        """See Target. The operator says its defaults in the status of every cluster."""
        clusters = await self.clusters()
        defaults = [object_at(cluster, "status", "defaults") for cluster in clusters if name_of(cluster) == name]
        defaults += [object_at(cluster, "status", "defaults") for cluster in clusters]
        return PlannerSettings(read_defaults(next(filter(None, defaults), {})))

    async def refused(self, cluster: RealtimeCluster) -> Sequence[SpecFinding]:
        """See Target. Needs the permission to create ReplicaSets and StatefulSets; nothing is created."""
        namespace = cluster.metadata.model_copy(update={"namespace": self._namespace})
        return await DryRun(self._client).refused(cluster.model_copy(update={"metadata": namespace}), World({}, ()))

    async def why_no_pod(self, pod: JsonObject) -> str | None:
        """See Target. Needs the permission to create pods; nothing is created."""
        if not await self._may("", "pods", "", "create"):
            return None
        try:
            await self._client.try_to_create(path_of("v1", "Pod", self._namespace), pod)
        except (ForbiddenError, InvalidObjectError) as error:
            return str(error)
        except PlatformError:
            return None
        return None

    async def annotate(self, name: str, annotations: Mapping[str, str]) -> None:
        """See Target."""
        await find(self, name)
        path = path_of(naming.API_VERSION, naming.KIND, self._namespace, name)
        await self._client.patch(path, {"metadata": {"annotations": {**annotations}}})

    async def restore(
        self, document: JsonObject, own: Mapping[str, Mapping[str, str]], others: Mapping[str, Mapping[str, str]]
    ) -> Sequence[str]:
        """See Target. The cluster is paused until its Secrets are there, so that the operator makes no others."""
        path, name = path_of(naming.API_VERSION, naming.KIND, self._namespace), name_of(document)
        spec = object_at(document, "spec")
        try:
            created = await self._client.create(path, {**document, "spec": {**spec, "paused": True}})
        except ConflictError as error:
            raise InputError(f"{self.description} has a cluster {name}: choose another --name") from error
        uid = text_at(created, "metadata", "uid")
        try:
            await self._restore_own(read_cluster(created), own)
            kept = [secret for secret, values in others.items() if not await self._create_secret(secret, values)]
            await self._client.patch(f"{path}/{name}", {"spec": {"paused": spec.get("paused", False)}}, uid)
        except BaseException:
            await self._client.delete(f"{path}/{name}", uid)
            raise
        return kept

    async def _restore_own(self, cluster: RealtimeCluster, own: Mapping[str, Mapping[str, str]]) -> None:
        """Create the generated Secrets, which the cluster owns, with given values; keys that lack are generated."""
        for template in build_secrets(cluster):
            secret = text_at(template.manifest, "metadata", "name")
            if secret in own and not await self._create_secret(secret, own[secret], template.manifest):
                raise InputError(f"Secret {secret} exists: delete it, or choose another --name")

    async def _create_secret(self, name: str, values: Mapping[str, str], manifest: JsonObject | None = None) -> bool:
        """Create a Secret; return False when one of the name exists."""
        bare: JsonObject = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": name}}
        try:
            path = path_of("v1", "Secret", self._namespace)
            await self._client.create(path, {**(manifest or bare), "stringData": {**values}})
        except ConflictError:
            return False
        return True

    async def drain(self, name: str, server: Server) -> None:
        """See Target."""
        await find(self, name)
        annotations: JsonObject = {naming.ANNOTATION_DRAIN: DRAIN_REQUESTED}
        path = path_of("v1", "Pod", self._namespace, server.name)
        await self._client.patch(path, {"metadata": {"annotations": annotations}}, server.uid)

    async def shed(self, name: str, server: Server, connections: int, connections_per_second: float) -> None:
        """See Target."""
        tokens = await self._admin_tokens(name)
        body: JsonObject = {"connections": connections, "connections_per_second": connections_per_second}
        await self._admin("POST", server.name, "/admin/v1/shed", tokens, json.dumps(body).encode())

    async def metrics(self, server: Server) -> str:
        """See Target."""
        path = self._pod(server.name, naming.PORT_ADMIN, "/metrics")
        return (await self._client.call("GET", path, headers={})).decode()

    async def export_history(self, name: str, server: Server) -> AsyncIterator[bytes]:
        """See Target."""
        path = self._pod(server.name, naming.PORT_ADMIN, HISTORY_PATH)
        *others, last = await self._admin_tokens(name) or ("",)
        with _known_history(server.name):
            for token in others:
                with contextlib.suppress(ForbiddenError):
                    async for block in self._client.blocks(path, {"X-Admin-Token": token}):
                        yield block
                    return
            async for block in self._client.blocks(path, {"X-Admin-Token": last}):
                yield block

    async def import_history(self, name: str, server: Server, lines: bytes, *, replace: bool) -> JsonObject:
        """See Target."""
        path = f"{HISTORY_PATH}?replace={'true' if replace else 'false'}"
        with _known_history(server.name):
            answer = await self._admin("POST", server.name, path, await self._admin_tokens(name), lines)
        return cast("JsonObject", answer)

    async def call_api(self, name: str, method: str, body: JsonObject) -> JsonObject:
        """See Target."""
        cluster = await self._cluster(name)
        if name not in self._api_keys:
            self._api_keys[name] = await credential(self, cluster, naming.KEY_API)
        scheme = _scheme(encrypted=cluster.spec.api.tls is not None)
        path = self._service(f"{scheme}{naming.api_service(name)}", naming.PORT_NAME_API, f"/api/{method}")
        headers = {"X-API-Key": self._api_keys[name], "Content-Type": "application/json"}
        document: JsonObject = json.loads(
            await self._client.call("POST", path, headers=headers, body=json.dumps(body).encode())
        )
        return document

    async def client_endpoint(self, name: str, server: Server | None = None) -> ClientEndpoint:
        """See Target."""
        scheme = _scheme(encrypted=(await self._cluster(name)).spec.endpoint.tls is not None)
        if server is None:
            path = self._service(f"{scheme}{naming.client_service(name)}", naming.PORT_NAME_CLIENT, naming.CLIENT_PATH)
        else:
            path = self._pod(f"{scheme}{server.name}", naming.PORT_CLIENT, naming.CLIENT_PATH)
        access = await self._client.websocket(path)
        return ClientEndpoint(access.url, access.headers, access.ssl_context)

    async def logs(self, server: Server, *, lines: int, follow: bool) -> AsyncIterator[str]:
        """See Target."""
        query = {"tailLines": str(lines), "follow": "true" if follow else "false", "container": "server"}
        path = path_of("v1", "Pod", self._namespace, server.name, "log")
        async for line in self._client.lines(path, query):
            yield line

    async def check(self) -> Sequence[Finding]:
        """See Target."""
        return [await self._check_definition(), *await self._check_permissions(), await self._check_clock()]

    async def _check_definition(self) -> Finding:
        definition = build_crd()
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{naming.PLURAL}.{naming.GROUP}"
        try:
            live = await self._client.get(path)
        except NotFoundError:
            advice = "install the operator: docs/guides/install.md"
            return Finding("CRD", Severity.ERROR, "RealtimeCluster is not known to the API server", advice)
        except ForbiddenError:
            return Finding("CRD", Severity.OK, "installed; you may not read all of it")
        if _schema_of(live) != _schema_of(definition):
            advice = "upgrade the CRD or this program, so that both are of one release"
            return Finding("CRD", Severity.WARNING, "is of another release than this program", advice)
        return Finding("CRD", Severity.OK, f"{naming.API_VERSION}, the same as this program's")

    async def _check_permissions(self) -> Sequence[Finding]:
        missing = [what for what in NEEDED if not await self._may(*what)]
        if not missing:
            return [Finding("RBAC", Severity.OK, "you have all permissions that the commands need")]
        names = ", ".join(f"{verb} {resource}{'/' * bool(sub)}{sub}" for _, resource, sub, verb in missing)
        advice = f"ask for a role with these permissions in namespace {self._namespace}; the role edit has all of them"
        return [Finding("RBAC", Severity.WARNING, f"you have no permission for: {names}", advice)]

    async def _may(self, group: str, resource: str, subresource: str, verb: str) -> bool:
        attributes: JsonObject = {
            "namespace": self._namespace, "group": group, "resource": resource,
            "subresource": subresource, "verb": verb,
        }  # fmt: skip
        review: JsonObject = {
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes},
        }  # fmt: skip
        path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        return dig(await self._client.create(path, review), "status", "allowed") is True

    async def _check_clock(self) -> Finding:
        """Compare clocks by the creation time of a new object; a review costs nothing, and it is not stored."""
        review: JsonObject = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        before = time.time()
        answer = await self._client.create("/apis/authentication.k8s.io/v1/selfsubjectreviews", review)
        written = text_at(answer, "metadata", "creationTimestamp")
        if not written:
            return Finding("clock", Severity.OK, "the API server does not report its time")
        skew = abs(datetime.fromisoformat(written).astimezone(UTC).timestamp() - before)
        if skew > SKEW_SECONDS:
            advice = "set the clock (NTP): tokens made here may be expired or not valid yet for the servers"
            return Finding("clock", Severity.WARNING, f"differs from the API server's by {skew:.0f} s", advice)
        return Finding("clock", Severity.OK, "agrees with the API server's within a few seconds")

    async def _admin_tokens(self, name: str) -> tuple[str, ...]:
        """Return the admin token, and its alternate value for servers that have not read a rotated one yet."""
        values = await self.secret(naming.credentials_secret(name))
        keys = (naming.KEY_ADMIN_TOKEN, naming.alternate(naming.KEY_ADMIN_TOKEN))
        return tuple(values[key] for key in keys if key in values)

    async def _report(self, pod: str, tokens: tuple[str, ...]) -> ServerReport | None:
        try:
            return read_report(await self._admin("GET", pod, "/admin/v1/status", tokens))
        except (PlatformError, KeyError, TypeError, ValueError):
            return None

    async def _admin(
        self, method: str, pod: str, path: str, tokens: tuple[str, ...], body: bytes = b""
    ) -> Mapping[str, object]:
        token, *others = tokens or ("",)
        headers = {"X-Admin-Token": token, "Content-Type": "application/json"}
        try:
            answer = await self._client.call(
                method, self._pod(pod, naming.PORT_ADMIN, path), headers=headers, body=body
            )
        except ForbiddenError:  # so is a 401 of the server
            if not others:
                raise
            return await self._admin(method, pod, path, tuple(others), body)
        document: Mapping[str, object] = json.loads(answer)
        return document

    async def _cluster(self, name: str) -> RealtimeCluster:
        """Return a cluster, read once per command."""
        if name not in self._clusters:
            self._clusters[name] = read_cluster(await find(self, name))
        return self._clusters[name]

    def _pod(self, name: str, port: int, path: str) -> str:
        return f"/api/v1/namespaces/{self._namespace}/pods/{name}:{port}/proxy{path}"

    def _service(self, name: str, port: str, path: str) -> str:
        return f"/api/v1/namespaces/{self._namespace}/services/{name}:{port}/proxy{path}"


@contextlib.contextmanager
def _known_history(server: str) -> Iterator[None]:
    """Raise InputError with advice for a server that knows no exports."""
    try:
        yield
    except NotFoundError as error:
        raise InputError(f"server {server} is of a release that {NO_HISTORY}") from error


def _scheme(*, encrypted: bool) -> str:
    """Return the prefix of a name by which the API server's proxy speaks TLS to it, without a check of the name."""
    return "https:" if encrypted else ""


def read_defaults(defaults: JsonObject) -> BuildSettings:
    """Parse the operator's defaults in a status; missing images and releases are "unknown"."""
    return BuildSettings(
        server_image=text_at(defaults, "serverImage") or "unknown",
        redis_image=text_at(defaults, "redisImage") or "unknown",
        server_image_pull_policy=text_at(defaults, "serverImagePullPolicy") or "IfNotPresent",
        image_pull_secrets=tuple(text_at(secret, "name") for secret in objects_at(defaults, "imagePullSecrets")),
        operator_version=text_at(defaults, "operatorVersion") or "unknown",
    )


def _schema_of(definition: JsonObject) -> JsonValue:
    """Return the schema of the spec in a CRD."""
    version = objects_at(definition, "spec", "versions")[0]
    return dig(version, "schema", "openAPIV3Schema", "properties", "spec")
