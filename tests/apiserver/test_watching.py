"""Tests of the store with watches of a real API server, and answers to the operator's own requests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from yarl import URL

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import text_at
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.errors import ForbiddenError
from realtime_operator.handlers.watching import DISCOVERY_SECONDS, PAGE, Watcher
from realtime_operator.metrics import Metrics
from realtime_operator.planning.model.world import World
from realtime_operator.platforms.base import Key
from realtime_operator.platforms.kubernetes.client import PLURALS, KubernetesClient, path_of
from realtime_operator.platforms.kubernetes.driver import WATCHED, KubernetesPlatform
from realtime_operator.pods.admin_client import AdminClient
from tests.kit.apiserver import ApiServer, RefusedError
from tests.kit.deadline import eventually
from tests.kit.document import dig, parse
from tests.kit.operator_process import OperatorProcess

TOLD_SECONDS = 10
COMPLETE_SECONDS = 20
GOODBYE_SECONDS = 0.5
"""Seconds for both ends of a TLS connection to close it before the event loop ends."""


@dataclass
class Watched:
    """A platform with a store that is fed by watches."""

    server: ApiServer
    client: KubernetesClient
    platform: KubernetesPlatform
    namespace: str
    changes: list[Key]

    @property
    def key(self) -> Key:
        """Key of the cluster `main`."""
        return Key(self.namespace, "main")

    def collection(self, kind: str = "ConfigMap") -> str:
        """Return the path of a kind in version v1."""
        return path_of("v1", kind, self.namespace)

    def make(self, name: str, *, cluster: str | None = "main") -> JsonObject:
        """Create a ConfigMap as another user."""
        return self.server.call("POST", self.collection(), manifest(name, cluster=cluster))

    def names(self) -> set[str]:
        """Return the names of the children in the store."""
        return {text_at(item, "metadata", "name") for item in self.platform.store.children(self.key)}

    async def wait_for_children(self, *names: str) -> None:
        """Wait until the store has exactly these children."""

        async def now() -> set[str]:
            return self.names()

        await eventually(now, lambda found: found == set(names), what=f"children {names}", within=TOLD_SECONDS)

    async def stale(self, wanted: bool, within: float = 10) -> None:
        """Wait until the store is stale, or fresh."""

        async def now() -> bool:
            return self.platform.stale_since() is not None

        await eventually(now, lambda found: found is wanted, what=f"stale: {wanted}", within=within)


def manifest(name: str, *, cluster: str | None = "main") -> JsonObject:
    """Return a ConfigMap with the label of a cluster, or without it."""
    labels: JsonObject = {} if cluster is None else {naming.LABEL_CLUSTER: cluster}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "labels": labels}}


@contextlib.asynccontextmanager
async def watching(
    client: KubernetesClient,
    platform: KubernetesPlatform,
    namespace: str,
    discovery_seconds: float = DISCOVERY_SECONDS,
) -> AsyncIterator[None]:
    """Feed the platform's store while the body runs; the body starts when the store is complete."""
    watcher = Watcher(client, platform.store, (namespace,), platform.stale_since, discovery_seconds)
    task = asyncio.create_task(watcher.run())
    try:
        async with asyncio.timeout(COMPLETE_SECONDS):
            await platform.store.complete.wait()
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(GOODBYE_SECONDS)


@pytest.fixture
async def watched(api_server: ApiServer, namespace: str, operator_client: KubernetesClient) -> AsyncIterator[Watched]:
    """Running watches of the test's namespace."""
    admin = AdminClient()
    platform = KubernetesPlatform(operator_client, admin, Metrics(), (namespace,))
    changes: list[Key] = []
    platform.changed = lambda key, _edited: changes.append(key)
    async with watching(operator_client, platform, namespace):
        yield Watched(api_server, operator_client, platform, namespace, changes)
    await admin.close()


async def test_what_has_the_label_is_told_and_nothing_else(watched: Watched) -> None:
    """Creations, changes and deletions by others are seen; managedFields are dropped."""
    watched.make("foreign", cluster=None)
    watched.make("ours")
    await watched.wait_for_children("ours")
    (item,) = watched.platform.store.children(watched.key)
    assert (item["apiVersion"], item["kind"]) == ("v1", "ConfigMap")
    assert dig(item, "metadata", "managedFields") is None
    watched.server.call("PATCH", f"{watched.collection()}/ours", {"metadata": {"labels": {naming.LABEL_CLUSTER: None}}})
    await watched.wait_for_children()
    watched.server.call(
        "PATCH", f"{watched.collection()}/ours", {"metadata": {"labels": {naming.LABEL_CLUSTER: "main"}}}
    )
    await watched.wait_for_children("ours")
    watched.server.call("DELETE", f"{watched.collection()}/ours")
    await watched.wait_for_children()
    assert set(watched.changes) == {watched.key}


async def test_the_answer_to_an_own_write_is_there_before_any_watch_tells(
    api_server: ApiServer, namespace: str, operator_client: KubernetesClient
) -> None:
    """Creation, change and deletion are in the store without any watch."""
    platform = KubernetesPlatform(operator_client, AdminClient(), Metrics(), (namespace,))
    key, collection = Key(namespace, "main"), path_of("v1", "ConfigMap", namespace)
    await operator_client.create(collection, manifest("ours"))
    (made,) = platform.store.children(key)
    await operator_client.patch(f"{collection}/ours", {"data": {"a": "b"}})
    (changed,) = platform.store.children(key)
    assert (made.get("data"), changed["data"]) == (None, {"a": "b"})
    await operator_client.delete(f"{collection}/ours")
    assert platform.store.children(key) == []
    for kind, document in (("ServiceAccount", {}), ("Service", {"spec": {"ports": [{"port": 1}]}})):
        path = path_of("v1", kind, namespace)
        await operator_client.create(path, {**manifest("ours"), "kind": kind, **document})  # type: ignore[dict-item]
        assert len(platform.store.children(key)) == 1
        await operator_client.delete(f"{path}/ours")
        assert platform.store.children(key) == [], f"the answer to the deletion of a {kind} is the object itself"
    pod: JsonObject = {**manifest("ours"), "kind": "Pod", "spec": {"containers": [{"name": "a", "image": "b"}]}}
    path = path_of("v1", "Pod", namespace)
    api_server.call("POST", path, {**pod, "spec": {**dict_of(pod["spec"]), "nodeName": "somewhere"}})
    await operator_client.get(f"{path}/ours")
    await operator_client.delete(f"{path}/ours")
    (leaving,) = platform.store.children(key)
    assert text_at(leaving, "metadata", "deletionTimestamp"), "a pod on a node takes its time"


def dict_of(value: object) -> JsonObject:
    """Narrow a part of a manifest to an object."""
    assert isinstance(value, dict)
    return value


async def test_a_list_of_many_pages_is_complete(
    api_server: ApiServer, namespace: str, operator_client: KubernetesClient
) -> None:
    """The list of a watch's start, and the client's own list."""
    for number in range(PAGE + 10):
        api_server.call("POST", path_of("v1", "ConfigMap", namespace), manifest(f"c{number}"))
    platform = KubernetesPlatform(operator_client, AdminClient(), Metrics(), (namespace,))
    async with watching(operator_client, platform, namespace):
        assert len(platform.store.children(Key(namespace, "main"))) == PAGE + 10
        listed = await operator_client.list_items(path_of("v1", "ConfigMap", namespace), naming.LABEL_CLUSTER)
        assert len(listed) == PAGE + 10


async def test_the_api_server_is_asked_for_labelled_objects_alone(
    api_server: ApiServer, namespace: str, operator_client: KubernetesClient
) -> None:
    """Objects of others are not transferred, and Secrets are not requested."""
    platform = KubernetesPlatform(operator_client, AdminClient(), Metrics(), (namespace,))

    async def asked() -> set[tuple[str, str, str]]:
        events = [parse(line) for line in api_server.audit_log.read_bytes().splitlines()]
        here = [event for event in events if text_at(event, "objectRef", "namespace") == namespace]
        uris = [(text_at(event, "verb"), URL(text_at(event, "requestURI"))) for event in here]
        return {(verb, uri.name, uri.query.get("labelSelector", "")) for verb, uri in uris if uri.name != namespace}

    labelled = {PLURALS[which] for which in WATCHED} - {naming.PLURAL}
    selectors = {naming.PLURAL: "", **dict.fromkeys(labelled, naming.LABEL_CLUSTER)}
    wanted = {(verb, plural, selector) for verb in ("list", "watch") for plural, selector in selectors.items()}
    async with watching(operator_client, platform, namespace):
        found = await eventually(asked, lambda found: found >= wanted, what="all lists and watches", within=10)
    assert found == wanted
    assert "secrets" not in labelled


@pytest.fixture
def going_on(api_server: ApiServer) -> Iterator[ApiServer]:
    """The API server, which is resumed after the test."""
    yield api_server
    api_server.resume()


async def test_it_is_stale_while_the_api_server_is_away(watched: Watched) -> None:
    """The store is stale from the end of the watches on, also without requests, and fresh once they are open again."""
    await watched.stale(False)
    watched.server.stop()
    await watched.stale(True, within=4)
    assert watched.platform.contact_since() is None
    watched.server.start()
    back = datetime.now(UTC)
    await watched.stale(False, within=20)
    since = watched.platform.contact_since()
    assert since is not None
    assert since > back


async def test_it_is_stale_while_the_api_server_answers_nothing(watched: Watched, going_on: ApiServer) -> None:
    """The watches are open, but a request waits, such as the lease's."""
    await watched.stale(False)

    async def ask() -> None:
        while True:
            await watched.client.get(f"/apis/{naming.API_VERSION}")
            await asyncio.sleep(0.1)

    asking = asyncio.create_task(ask())
    try:
        going_on.pause()
        await watched.stale(True, within=6)
        going_on.resume()
        await watched.stale(False)
    finally:
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def test_a_world_says_since_when_it_is_stale(watched: Watched) -> None:
    document: JsonObject = {"apiVersion": naming.API_VERSION, "kind": naming.KIND, "metadata": {"name": "main"}}
    watched.server.call("POST", path_of(naming.API_VERSION, naming.KIND, watched.namespace), {**document, "spec": {}})

    async def observed() -> World | None:
        stored = await watched.platform.read(watched.key)
        return None if stored is None else await watched.platform.observe(RealtimeCluster.from_object(stored))

    def is_fresh(world: World | None) -> bool:
        return world is not None and world.stale_since is None

    await eventually(observed, is_fresh, what="fresh", within=TOLD_SECONDS)
    watched.server.stop()
    try:
        await watched.stale(True)
        world = await observed()
        assert world is not None
        assert world.stale_since is not None
    finally:
        watched.server.start()


async def test_what_vanished_while_no_watch_was_open_is_noticed(api_server: ApiServer, namespace: str) -> None:
    """The operator is suspended, and the API server restarts with an empty watch cache, so no deletion is reported.

    A Service that was deleted meanwhile is restored, long before the next resync.
    """
    times: dict[str, object] = {"lease_duration_seconds": 120, "lease_renew_seconds": 100, "resync_seconds": 600}
    async with OperatorProcess(api_server, namespace, (), watch_namespaces=namespace, **times) as operator:
        await operator.wait_ready()
        cluster: JsonObject = {"apiVersion": naming.API_VERSION, "kind": naming.KIND, "metadata": {"name": "main"}}
        api_server.call("POST", path_of(naming.API_VERSION, naming.KIND, namespace), {**cluster, "spec": {}})

        async def services() -> dict[str, str]:
            items = api_server.call("GET", path_of("v1", "Service", namespace))["items"]
            assert isinstance(items, list)
            return {text_at(i, "metadata", "name"): text_at(i, "metadata", "uid") for i in items}

        before = await eventually(services, lambda found: len(found) == 4, what="Services", within=20)
        await asyncio.sleep(2)
        with operator.frozen():
            for _ in range(2):
                api_server.stop()  # first the connections break, then what was deleted since falls out of the history
                api_server.start()
                with contextlib.suppress(RefusedError):
                    api_server.call("DELETE", path_of("v1", "Service", namespace, "main"))
        after = await eventually(services, lambda found: set(found) == set(before), what="all Services", within=20)
        assert after["main"] != before["main"]
        assert "Traceback" not in operator.log()


async def test_secrets_may_neither_be_listed_nor_watched(operator_client: KubernetesClient, namespace: str) -> None:
    """The operator's role does not permit it."""
    with pytest.raises(ForbiddenError, match="cannot list resource"):
        await operator_client.list_items(path_of("v1", "Secret", namespace), naming.LABEL_CLUSTER)
