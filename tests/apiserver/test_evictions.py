"""Evictions that a real API server has reviewed by the webhook: what kubectl sees, dry runs, new certificates."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import signal
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.handlers.eviction_webhook import EvictionWebhook, Reviewer
from realtime_operator.metrics import Metrics
from realtime_operator.planning.moving.evictions import Hold, Verdict
from realtime_operator.platforms.kubernetes.client import KubernetesClient, path_of
from realtime_operator.platforms.kubernetes.webhook_access import CONFIGURATIONS, LEARN_SECONDS, WebhookAccess
from tests.kit.apiserver import ApiServer, RefusedError
from tests.kit.chart import golden
from tests.kit.cluster.layout import Layout
from tests.kit.deadline import eventually
from tests.kit.document import dig, object_at, objects_at, text_at
from tests.kit.operator_process import OperatorProcess
from tests.kit.raw_client import RawClient, raw_client
from tests.kit.redis_process import free_port
from tests.kit.server_process import ADMIN_TOKEN, TOKEN_SECRET, ServerProcess
from tests.kit.tokens import connection_token


def configure(server: ApiServer, namespace: str, port: int) -> str:
    """Create the chart's configuration for a webhook on this machine, and of one namespace; return its name."""
    found = next(m for m in golden("webhook") if m["kind"] == "ValidatingWebhookConfiguration")
    (webhook,) = objects_at(found, "webhooks")
    selector: JsonObject = {"matchLabels": {naming.LABEL_NAMESPACE_NAME: namespace}}
    client: JsonObject = {"url": f"https://localhost:{port}"}
    name = f"evictions-{namespace}"
    server.call("POST", CONFIGURATIONS, {
        "metadata": {"name": name},
        "webhooks": [{**webhook, "clientConfig": client, "namespaceSelector": selector}],
    })  # fmt: skip
    return name


def make_pod(server: ApiServer, namespace: str, name: str, *, owner: JsonObject | None = None) -> str:
    """Create a pod that runs on a node named as the namespace, as controllers and the kubelet do; return its path."""
    template = object_at(owner or {}, "spec", "template")
    references: list[JsonValue] = []
    if owner is not None:
        name_and_uid = {key: text_at(owner, "metadata", key) for key in ("name", "uid")}
        references = [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": True, **name_and_uid}]
    spec: JsonObject = {"nodeName": namespace, "containers": [{"name": "server", "image": "localhost/server:test"}]}
    labels = object_at(template, "metadata", "labels")
    metadata: JsonObject = {"name": name, "labels": labels, "ownerReferences": references}
    server.call("POST", path_of("v1", "Pod", namespace), {"metadata": metadata, "spec": spec})
    ready: JsonObject = {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    status: JsonObject = {"phase": "Running", "podIP": "127.0.0.1", "podIPs": [{"ip": "127.0.0.1"}]}
    path = path_of("v1", "Pod", namespace, name)
    server.call("PATCH", f"{path}/status", {"status": {**status, "conditions": [ready]}})
    return path


def evict(server: ApiServer, path: str, **options: object) -> int:
    """Request an eviction, with delete options; return the status."""
    name = path.rpartition("/")[2]
    eviction: JsonObject = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name}}
    try:
        server.call("POST", f"{path}/eviction", {**eviction, "deleteOptions": {**options}})  # type: ignore[dict-item]
    except RefusedError as error:
        return error.status
    return 201


async def kubectl(server: ApiServer, *arguments: str, stdin: str = "") -> tuple[int, str]:
    """Run kubectl as the administrator; return its exit code and all that it prints."""
    process = await asyncio.create_subprocess_exec(
        str(Layout.from_environ().programs / "kubectl"), "--kubeconfig", str(server.kubeconfig()), *arguments,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(90):
        printed, _ = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return process.returncode, printed.decode()


async def answer_pings(client: RawClient) -> None:
    """Stay connected until cancelled."""
    while True:
        with contextlib.suppress(TimeoutError):
            await client.document()


@dataclass(frozen=True, slots=True)
class Held:
    """A server with a connection, whose cluster an operator with a webhook runs."""

    api: ApiServer
    namespace: str
    pod: str
    client: contextlib.AsyncExitStack
    """Closes the client's connection."""
    operator: OperatorProcess
    settings: Mapping[str, object]
    """Those of the operator, for another process."""

    @property
    def name(self) -> str:
        """Name of the pod."""
        return self.pod.rpartition("/")[2]

    def annotations(self) -> JsonObject:
        """Return the annotations of the pod."""
        return object_at(self.api.call("GET", self.pod), "metadata", "annotations")


@pytest.fixture
async def held(api_server: ApiServer, namespace: str) -> AsyncIterator[Held]:
    """An operator, its webhook, and a real server in the place of the pod's container, with one client."""
    port = free_port()
    name = configure(api_server, namespace, port)
    settings = {"namespace": namespace, "watch_namespaces": namespace, "webhook_name": name, "webhook_port": port}
    lease = {"lease_name": "evictions", "lease_duration_seconds": 6, "lease_renew_seconds": 4, "lease_retry_seconds": 1}
    settings = {**settings, **lease, "webhook_leave_seconds": 600}
    server = ServerProcess("s", None, listen={"admin_port": naming.PORT_ADMIN})
    server.admin_port = naming.PORT_ADMIN
    async with (
        OperatorProcess(api_server, namespace, **settings) as operator,
        server,
        contextlib.AsyncExitStack() as stack,
    ):
        await operator.wait_ready()
        api_server.call("POST", path_of(naming.API_VERSION, naming.KIND, namespace), {
            "apiVersion": naming.API_VERSION, "kind": naming.KIND, "metadata": {"name": "main"},
            "spec": {"replicas": 1, "rollout": {"maxSurge": 1}, "disruptionBudget": {"mode": "Disabled"}},
        })  # fmt: skip

        async def replica_sets() -> list[JsonObject]:
            return objects_at(api_server.call("GET", path_of("apps/v1", "ReplicaSet", namespace)), "items")

        (owner,) = await eventually(replica_sets, bool, what="a ReplicaSet", within=30)
        token = base64.b64encode(ADMIN_TOKEN.encode()).decode()
        secret = path_of("v1", "Secret", namespace, naming.credentials_secret("main"))
        api_server.call("PATCH", secret, {"data": {naming.KEY_ADMIN_TOKEN: token}})
        api_server.call("POST", "/api/v1/nodes", {"metadata": {"name": namespace}})
        pod = make_pod(api_server, namespace, f"{text_at(owner, 'metadata', 'name')}-x7k2p", owner=owner)

        async def trusts() -> bool:
            stored = api_server.call("GET", f"{CONFIGURATIONS}/{name}")
            return bool(text_at(objects_at(stored, "webhooks")[0], "clientConfig", "caBundle"))

        await eventually(trusts, bool, what="the operator has told the API server of its certificate", within=30)
        client = await stack.enter_async_context(raw_client(server.url))
        await client.connect(connection_token(TOKEN_SECRET, "u1"))
        stack.callback(asyncio.create_task(answer_pings(client)).cancel)
        yield Held(api_server, namespace, pod, stack, operator, settings)
        api_server.call("DELETE", f"{CONFIGURATIONS}/{name}")
        await kill(operator)


async def kill(operator: OperatorProcess) -> None:
    """End a process at once; a stopped one would go on to answer."""
    assert operator.process is not None
    if operator.process.returncode is None:
        operator.process.kill()
        await operator.process.wait()


async def held_at_last(held: Held) -> None:
    """Wait until the API server calls the webhook; a dry run deletes nothing before."""

    async def warned() -> str:
        _, printed = await kubectl(
            held.api, "drain", held.namespace, "--dry-run=server", f"--pod-selector={naming.LABEL_CLUSTER}=main"
        )
        return printed

    await eventually(warned, lambda text: "the eviction would wait" in text, what="the webhook is called", within=30)


async def test_a_held_eviction_is_429_with_retry_after(held: Held) -> None:
    """A dry run says that it would wait and changes nothing; an eviction marks the pod, which goes when it is empty."""
    await held_at_last(held)
    assert naming.ANNOTATION_DRAIN not in held.annotations()
    assert evict(held.api, held.pod, dryRun=["All"]) == 201
    assert naming.ANNOTATION_DRAIN not in held.annotations()

    body = json.dumps({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": held.name}})
    code, printed = await kubectl(held.api, "create", "--raw", f"{held.pod}/eviction", "-f", "-", "-v=8", stdin=body)
    assert code == 1
    assert "429 Too Many Requests" in printed
    assert "Retry-After: 3" in printed
    assert f"{held.name} holds 1 connection, which are moved when its replacement is ready" in printed
    marked = held.annotations()
    assert marked[naming.ANNOTATION_DRAIN] == "requested"
    assert datetime.fromisoformat(str(marked[naming.ANNOTATION_EVICTION])) <= datetime.now(UTC)

    async def replicas() -> object:
        replica_set = path_of("apps/v1", "ReplicaSet", held.namespace, held.name.rpartition("-")[0])
        return dig(held.api.call("GET", replica_set), "spec", "replicas")

    await eventually(replicas, lambda count: count == 2, what="a replacement is started first", within=20)
    assert evict(held.api, held.pod) == 429
    assert held.annotations()[naming.ANNOTATION_EVICTION] == marked[naming.ANNOTATION_EVICTION]
    await held.client.aclose()

    async def evicted() -> int:
        return evict(held.api, held.pod)

    await eventually(evicted, lambda status: status == 201, what="an empty server goes", within=20)
    assert text_at(held.api.call("GET", held.pod), "metadata", "deletionTimestamp")
    assert evict(held.api, held.pod) == 201, "it ends already"


async def test_kubectl_drain_waits_for_the_server(held: Held) -> None:
    """It repeats the eviction by itself, and ends when the pod is gone."""
    await held_at_last(held)
    selector = f"--pod-selector={naming.LABEL_CLUSTER}=main"
    draining = asyncio.create_task(kubectl(held.api, "drain", held.namespace, selector))

    async def marked() -> bool:
        return naming.ANNOTATION_EVICTION in held.annotations()

    await eventually(marked, bool, what="the eviction is held", within=30)
    assert not text_at(held.api.call("GET", held.pod), "metadata", "deletionTimestamp")
    await held.client.aclose()

    async def ends() -> str:
        return text_at(held.api.call("GET", held.pod), "metadata", "deletionTimestamp")

    await eventually(ends, bool, what="the pod is evicted", within=30)
    held.api.call("DELETE", held.pod, {"gracePeriodSeconds": 0})
    code, printed = await draining
    assert code == 0, printed


async def test_a_server_is_held_by_the_next_process_and_by_a_stopped_one(held: Held) -> None:
    """Killed and restarted between two requests, the operator knows the first; stopped, it answers and is not ready."""
    await held_at_last(held)
    assert evict(held.api, held.pod) == 429
    first = held.annotations()[naming.ANNOTATION_EVICTION]
    await kill(held.operator)
    async with OperatorProcess(held.api, held.namespace, **held.settings) as operator:
        await operator.wait_ready()
        assert evict(held.api, held.pod) == 429
        assert held.annotations()[naming.ANNOTATION_EVICTION] == first

        async def holder() -> str:
            lease = path_of("coordination.k8s.io/v1", "Lease", held.namespace, "evictions")
            return text_at(held.api.call("GET", lease), "spec", "holderIdentity")

        async def leads() -> bool:
            return "leader 1.0" in (await operator.get("/metrics"))[1]

        await eventually(leads, bool, what="it leads", within=60)
        assert operator.process is not None
        operator.process.send_signal(signal.SIGTERM)
        await eventually(holder, lambda name: not name, what="another process may lead", within=30)
        assert "it was stopped" in await operator.readiness()
        assert evict(held.api, held.pod) == 429
        await kill(operator)


class Holding:
    """Holds every eviction."""

    async def answer(self, namespace: str, name: str, *, dry_run: bool) -> Verdict:
        """Hold."""
        return Hold(1, f"{namespace}/{name} is held, dry run: {dry_run}")


async def serial_of(port: int) -> str:
    """Return the certificate that the webhook presents."""
    return await asyncio.to_thread(ssl.get_server_certificate, ("127.0.0.1", port))


async def test_no_eviction_passes_while_the_certificate_is_renewed(
    api_server: ApiServer, operator_client: KubernetesClient, namespace: str
) -> None:
    """Neither with a new certificate, nor with a new authority: a call that fails would let the pod go.

    Another process has issued the new authority, and written it into the configuration a moment before.
    """
    port = free_port()
    name = configure(api_server, namespace, port)
    clock = [datetime.now(UTC) - timedelta(days=61)]
    other, access = (WebhookAccess(operator_client, name, namespace, lambda: clock[0]) for _ in range(2))
    webhook = EvictionWebhook(access, Reviewer(Holding(), Metrics()))
    await look_until_ready(other)
    await look_until_ready(access)
    await webhook.start(port)
    pod = make_pod(api_server, namespace, "main-bcdfghjkmn-x7k2p")
    statuses: list[int] = []

    async def keep_calling() -> None:
        while True:
            statuses.append(await asyncio.to_thread(evict, api_server, pod))

    try:
        assert await asyncio.to_thread(evict, api_server, pod, dryRun=["All"]) == 201
        calling = asyncio.create_task(keep_calling())
        presented = [await serial_of(port)]
        clock[0] = datetime.now(UTC)
        await other.look()  # a month before its end: the same authority issues another one
        await access.look()
        presented.append(await serial_of(port))
        api_server.call("DELETE", path_of("v1", "Secret", namespace, name))
        await other.look()
        await access.look()  # another authority, which the API server may not know yet
        assert await serial_of(port) == presented[-1]
        await asyncio.sleep(LEARN_SECONDS)
        await access.look()
        presented.append(await serial_of(port))
        before = len(statuses)
        await eventually(lambda: _length(statuses), lambda count: count > before + 5, what="calls", within=20)
        calling.cancel()
        assert len(set(presented)) == 3
        assert set(statuses) == {429}
    finally:
        await webhook.stop()
        api_server.call("DELETE", f"{CONFIGURATIONS}/{name}")


async def look_until_ready(access: WebhookAccess) -> None:
    """Look twice, with the time between that the API server has to learn."""
    await access.look()
    assert access.obstacle is not None
    await asyncio.sleep(LEARN_SECONDS)
    await access.look()
    assert access.obstacle is None


async def _length(statuses: list[int]) -> int:
    return len(statuses)
