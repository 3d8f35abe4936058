"""A Kubernetes cluster as a test sees it: written to by kubectl as a user does, read through one `kubectl proxy`.

Reading through the proxy costs a millisecond and no process, so that tests may look often.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import aiohttp
import yaml

from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.naming import GROUP, PLURAL, VERSION
from tests.kit.deadline import eventually
from tests.kit.document import object_at, objects_at, parse, text_at

CALL_SECONDS = 30
PROXY_SECONDS = 10

RESTRICTED = {
    "pod-security.kubernetes.io/enforce": "restricted",
    "pod-security.kubernetes.io/warn": "restricted",
}
"""Labels of namespaces that refuse pods with more privileges than the restricted profile of Pod Security allows."""
POD_SECURITY: JsonObject = {"runAsNonRoot": True, "runAsUser": 65532, "seccompProfile": {"type": "RuntimeDefault"}}
CONTAINER_SECURITY: JsonObject = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
"""Security contexts of pods that such a namespace accepts."""
QUOTA: JsonObject = {
    "apiVersion": "v1",
    "kind": "ResourceQuota",
    "metadata": {"name": "small"},
    "spec": {"hard": {"pods": "1"}},
}
"""Quota that lets a namespace have one pod."""

PATHS = {
    "pods": "api/v1",
    "services": "api/v1",
    "endpoints": "api/v1",
    "secrets": "api/v1",
    "configmaps": "api/v1",
    "events": "api/v1",
    "serviceaccounts": "api/v1",
    "persistentvolumeclaims": "api/v1",
    "replicasets": "apis/apps/v1",
    "statefulsets": "apis/apps/v1",
    "deployments": "apis/apps/v1",
    "poddisruptionbudgets": "apis/policy/v1",
    "networkpolicies": "apis/networking.k8s.io/v1",
    "httproutes": "apis/gateway.networking.k8s.io/v1",
    "leases": "apis/coordination.k8s.io/v1",
    PLURAL: f"apis/{GROUP}/{VERSION}",
}
"""Base path of the API of each kind that tests read."""


class KubectlError(AssertionError):
    """kubectl ended with an error; the text is its output."""

    def __init__(self, arguments: Sequence[str], text: str) -> None:
        super().__init__(f"kubectl {' '.join(arguments)}: {text}")
        self.text = text


@dataclass(frozen=True, slots=True)
class Access:
    """Access to a cluster: kubectl, its kubeconfig, and the address of a running `kubectl proxy`."""

    kubectl: Path
    kubeconfig: Path
    proxy: str


@contextmanager
def proxied(kubectl: Path, kubeconfig: Path) -> Iterator[Access]:
    """Run a `kubectl proxy` while the body runs."""
    process = subprocess.Popen(
        [str(kubectl), "--kubeconfig", str(kubeconfig), "proxy", "--port=0"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()  # "Starting to serve on 127.0.0.1:45678"
        if "Starting to serve on " not in line:
            raise RuntimeError(f"kubectl proxy did not start: {line!r}")
        yield Access(kubectl, kubeconfig, "http://" + line.split()[-1])
    finally:
        process.terminate()
        process.wait(timeout=PROXY_SECONDS)
        if process.stdout is not None:
            process.stdout.close()


class Kube:
    """One namespace of a cluster. Use it as an asynchronous context manager."""

    def __init__(self, access: Access, namespace: str) -> None:
        self.namespace = namespace
        self.access = access
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        """Open the session."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_SECONDS))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    def within(self, namespace: str) -> Kube:
        """Return the access to another namespace, valid as long as this one."""
        other = Kube(self.access, namespace)
        other._session = self._session
        return other

    async def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl in the namespace and return its output; raises KubectlError with its error output."""
        process = await asyncio.create_subprocess_exec(
            str(self.access.kubectl), "--kubeconfig", str(self.access.kubeconfig), "-n", self.namespace, *arguments,
            stdin=asyncio.subprocess.DEVNULL if stdin is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            async with asyncio.timeout(CALL_SECONDS * 2):
                out, stderr = await process.communicate(None if stdin is None else stdin.encode())
        except TimeoutError:
            process.kill()
            await process.wait()
            raise KubectlError(arguments, f"no answer within {CALL_SECONDS * 2} s") from None
        if process.returncode != 0:
            raise KubectlError(arguments, (stderr or out).decode().strip())
        return out.decode()

    async def create_namespace(self, *, exists_ok: bool = False) -> None:
        """Create the namespace with the restricted Pod Security: the API server refuses pods that ask for more."""
        document = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": RESTRICTED}}
        verb = ("apply",) if exists_ok else ("create",)
        await self.kubectl(*verb, "-f", "-", stdin=json.dumps(document))

    async def apply(self, *manifests: JsonObject) -> str:
        """Apply the objects with `kubectl apply`."""
        return await self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(manifests))

    async def patch(self, kind: str, name: str, patch: JsonObject, *options: str) -> None:
        """Merge-patch an object with kubectl."""
        await self.kubectl("patch", kind, name, "--type=merge", "-p", json.dumps(patch), *options)

    async def delete(self, kind: str, name: str, *options: str) -> None:
        """Delete an object without waiting for its end."""
        await self.kubectl("delete", kind, name, "--wait=false", *options)

    async def raw(self, path: str) -> bytes | None:
        """GET a path of the API server; return None for 404; raise AssertionError for other errors."""
        assert self._session is not None
        async with self._session.get(f"{self.access.proxy}/{path}") as response:
            body = await response.read()
            if response.status == 404:
                return None
            assert response.status == 200, f"GET {path}: {response.status} {body[:500].decode(errors='replace')}"
            return body

    async def get(self, kind: str, name: str) -> JsonObject | None:
        """Return an object (kind as in PATHS), or None when it does not exist."""
        body = await self.raw(f"{PATHS[kind]}/namespaces/{self.namespace}/{kind}/{name}")
        return None if body is None else parse(body)

    async def list(self, kind: str, selector: str = "") -> list[JsonObject]:
        """Return the objects of a kind (as in PATHS) in the namespace that match the label selector."""
        query = f"?labelSelector={selector.replace('=', '%3D').replace(',', '%2C')}" if selector else ""
        body = await self.raw(f"{PATHS[kind]}/namespaces/{self.namespace}/{kind}{query}")
        return [] if body is None else objects_at(parse(body), "items")

    async def create(self, kind: str, document: JsonObject) -> str | None:
        """POST an object as kubectl does; return None when it was accepted, else the message of the refusal."""
        assert self._session is not None
        url = f"{self.access.proxy}/{PATHS[kind]}/namespaces/{self.namespace}/{kind}"
        async with self._session.post(url, json=document, params={"fieldValidation": "Strict"}) as response:
            answer = parse(await response.read())
            return None if response.status == 201 else text_at(answer, "message")

    async def wait_for(
        self, kind: str, name: str, fact: Callable[[JsonObject], bool], *, what: str, within: float
    ) -> JsonObject:
        """Wait until the object exists and `fact` holds for it; return it."""
        found = await eventually(
            lambda: self.get(kind, name),
            lambda value: value is not None and fact(value),
            what=f"{kind}/{name}: {what}",
            within=within,
            show=_short,
        )
        assert found is not None
        return found

    async def logs(self, pod: str, container: str = "", *, previous: bool = False) -> str:
        """Return the log of a container; empty when there is none."""
        query = f"?container={container}&previous={'true' if previous else 'false'}" if container else ""
        assert self._session is not None
        url = f"{self.access.proxy}/api/v1/namespaces/{self.namespace}/pods/{pod}/log{query}"
        async with self._session.get(url) as response:
            return await response.text() if response.status == 200 else ""


def is_ready(pod: JsonObject) -> bool:
    """Return True when a pod has the condition Ready and is not being deleted."""
    return has_condition(pod, "Ready") and not text_at(pod, "metadata", "deletionTimestamp")


def condition(document: JsonValue, kind: str) -> JsonObject:
    """Return a condition of an object's status by type; an empty object when it is missing."""
    return next((c for c in objects_at(document, "status", "conditions") if c.get("type") == kind), {})


def has_condition(document: JsonValue, kind: str, status: str = "True") -> bool:
    """Return True when the condition of a type has the status."""
    return condition(document, kind).get("status") == status


def name_of(document: JsonValue) -> str:
    """Return the object's name."""
    return text_at(document, "metadata", "name")


def _short(document: JsonObject | None) -> str:
    """Return an object's generation, deletion and status for a failure text."""
    if document is None:
        return "it does not exist"
    metadata = object_at(document, "metadata")
    shown = {key: metadata.get(key) for key in ("generation", "deletionTimestamp") if key in metadata}
    return json.dumps({**shown, "status": document.get("status")}, indent=1)[:4000]
