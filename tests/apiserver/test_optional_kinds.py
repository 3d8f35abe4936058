"""Tests of kinds whose CRD is installed, and removed, while the operator watches."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace

import pytest

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import objects_at, text_at
from realtime_operator.builders.optional_kinds import OPTIONAL_KINDS, OptionalKind
from realtime_operator.metrics import Metrics
from realtime_operator.platforms.kubernetes.client import KubernetesClient, path_of
from realtime_operator.platforms.kubernetes.driver import WATCHED, KubernetesPlatform
from realtime_operator.platforms.kubernetes.permissions import CLUSTERS
from realtime_operator.pods.admin_client import AdminClient
from tests.apiserver.test_watching import Watched, watching
from tests.kit.apiserver import ApiServer
from tests.kit.custom_kinds import CRDS, crd_name, open_crd
from tests.kit.deadline import eventually

NARROW_USER = "narrow-operator"
CERTIFICATE = next(kind for kind in OPTIONAL_KINDS if kind.kind == "Certificate")
NOTICED_SECONDS = 30


class Definitions:
    """CRDs of other projects in the API server."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server

    def install(self, kind: OptionalKind) -> None:
        """Install a CRD; it is served some time later."""
        self._server.call("POST", CRDS, open_crd(kind))

    def remove(self, kind: OptionalKind) -> None:
        """Remove a CRD, if it is there, and thereby all objects of the kind."""
        if self._exists(kind):
            self._server.call("DELETE", f"{CRDS}/{crd_name(kind)}")

    async def removed(self, kind: OptionalKind) -> None:
        """Wait until a CRD is gone."""

        async def there() -> bool:
            return self._exists(kind)

        await eventually(there, lambda found: not found, what="removal of the CRD", within=NOTICED_SECONDS)

    def _exists(self, kind: OptionalKind) -> bool:
        listed = self._server.call("GET", CRDS)
        return any(text_at(item, "metadata", "name") == crd_name(kind) for item in objects_at(listed, "items"))


@pytest.fixture
def definitions(api_server: ApiServer) -> Iterator[Definitions]:
    """CRDs, which are removed after the test."""
    found = Definitions(api_server)
    yield found
    for kind in OPTIONAL_KINDS:
        found.remove(kind)


async def test_a_kind_is_watched_while_its_crd_is_installed(
    api_server: ApiServer, namespace: str, operator_client: KubernetesClient, definitions: Definitions
) -> None:
    """Without the CRD the store is complete and fresh; with it the objects are seen; without it they are gone."""
    admin = AdminClient()
    platform = KubernetesPlatform(operator_client, admin, Metrics(), (namespace,))
    watched = Watched(api_server, operator_client, platform, namespace, [])

    async def kinds() -> frozenset[tuple[str, str]]:
        return platform.store.kinds()

    def are(*wanted: OptionalKind) -> Callable[[frozenset[tuple[str, str]]], bool]:
        expected = {*WATCHED, *(kind.key for kind in wanted)}
        return lambda found: found == expected and platform.store.complete.is_set() and platform.stale_since() is None

    async with watching(operator_client, platform, namespace, discovery_seconds=0.5):
        await watched.stale(False)
        assert await kinds() == set(WATCHED)
        definitions.install(CERTIFICATE)
        await eventually(kinds, are(CERTIFICATE), what="a watch of the new kind", within=NOTICED_SECONDS)
        api_server.call("POST", path_of(*CERTIFICATE.key, namespace), {
            "apiVersion": CERTIFICATE.api_version, "kind": CERTIFICATE.kind,
            "metadata": {"name": "ours", "labels": {naming.LABEL_CLUSTER: "main"}},
        })  # fmt: skip
        await watched.wait_for_children("ours")
        definitions.remove(CERTIFICATE)
        await definitions.removed(CERTIFICATE)
        await eventually(kinds, are(), what="no watch of the removed kind", within=NOTICED_SECONDS)
        assert watched.names() == set()
        watched.make("config")
        await watched.wait_for_children("config")
        await watched.stale(False)
    await admin.close()


@pytest.fixture
async def narrow_client(api_server: ApiServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KubernetesClient]:
    """A client of an operator that may read and write certificates by name, and neither list nor watch them."""
    rules = [
        (replace(rule, verbs=("get", "create", "patch")) if rule.group == "cert-manager.io" else rule).rule()
        for rule in CLUSTERS
    ]
    api_server.grant(NARROW_USER, rules)
    monkeypatch.setenv("KUBECONFIG", str(api_server.kubeconfig(NARROW_USER)))
    client = await KubernetesClient.connect(Metrics())
    yield client
    await client.close()


async def test_a_kind_without_the_rights_to_watch_it_holds_nothing_up(
    api_server: ApiServer, namespace: str, narrow_client: KubernetesClient, definitions: Definitions
) -> None:
    """The store is complete without it, and has the rights that lack; it is watched as soon as they are given."""
    admin = AdminClient()
    platform = KubernetesPlatform(narrow_client, admin, Metrics(), (namespace,))
    watched = Watched(api_server, narrow_client, platform, namespace, [])
    definitions.install(CERTIFICATE)

    async def now() -> tuple[bool, object]:
        return CERTIFICATE.key in platform.store.kinds() and platform.store.complete.is_set(), platform.store.withheld

    async with watching(narrow_client, platform, namespace, discovery_seconds=0.5):
        lacking = {CERTIFICATE.key: f"list and watch in namespace {namespace}"}
        await eventually(now, lambda found: found == (False, lacking), what="lacking rights", within=NOTICED_SECONDS)
        watched.make("config")
        await watched.wait_for_children("config")
        await watched.stale(False)
        give(api_server, namespace, "list")
        lacking = {CERTIFICATE.key: f"watch in namespace {namespace}"}
        await eventually(now, lambda found: found == (False, lacking), what="another right", within=NOTICED_SECONDS)
        give(api_server, namespace, "watch")
        await eventually(now, lambda found: found == (True, {}), what="a watch of the kind", within=NOTICED_SECONDS)
        await watched.wait_for_children("config")
        await watched.stale(False)
    await admin.close()


def give(server: ApiServer, namespace: str, verb: str) -> None:
    """Give the narrow operator one more right on certificates in a namespace."""
    group, name = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}", f"certificates-{verb}"
    rule: JsonObject = {"apiGroups": ["cert-manager.io"], "resources": ["certificates"], "verbs": [verb]}
    server.call("POST", f"{group}/roles", {"metadata": {"name": name}, "rules": [rule]})
    server.call("POST", f"{group}/rolebindings", {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": NARROW_USER}],
    })  # fmt: skip
