"""Kubernetes as a platform of the operator."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import text_at
from realtime_operator.api.references import read_secrets
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders.optional_kinds import OPTIONAL_KINDS, Kind
from realtime_operator.metrics import Metrics
from realtime_operator.planning.model.difference import controller_uid
from realtime_operator.planning.model.plan import Action, Failure
from realtime_operator.planning.model.world import World
from realtime_operator.platforms.base import Key
from realtime_operator.platforms.kubernetes.apply import Applier, ApplierTools
from realtime_operator.platforms.kubernetes.client import KubernetesClient, address_of
from realtime_operator.platforms.kubernetes.credential_memory import CredentialMemory
from realtime_operator.platforms.kubernetes.dry_run import DryRun
from realtime_operator.platforms.kubernetes.event_recorder import EventRecorder
from realtime_operator.platforms.kubernetes.observe import observe
from realtime_operator.platforms.kubernetes.secret_reader import REFRESH_SECONDS, SecretReader
from realtime_operator.platforms.kubernetes.store import ObjectStore, Part
from realtime_operator.pods.admin_client import AdminClient

WATCHED = (
    (naming.API_VERSION, naming.KIND),
    ("v1", "Pod"),
    ("v1", "Service"),
    ("v1", "ConfigMap"),
    ("v1", "ServiceAccount"),
    ("v1", "PersistentVolumeClaim"),
    ("apps/v1", "ReplicaSet"),
    ("apps/v1", "StatefulSet"),
    ("networking.k8s.io/v1", "Ingress"),
    ("policy/v1", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
)
"""Kinds that are always watched: RealtimeClusters, and objects with the label of one. Secrets are not watched."""

OPTIONAL = frozenset(kind.key for kind in OPTIONAL_KINDS)
"""Kinds that are watched while they are served."""

Changed = Callable[[Key, bool], None]
"""Callback with the key of a changed cluster; the flag is True when its spec has changed."""


def watched_kinds(served: Collection[Kind]) -> tuple[Kind, ...]:
    """Return the kinds to watch where the kinds `served` are: see `Discovery`."""
    return (*WATCHED, *sorted(OPTIONAL.intersection(served)))


def parts_of(namespaces: tuple[str, ...], served: Collection[Kind] = ()) -> tuple[Part, ...]:
    """Return the watches that some namespaces need (none given: all namespaces)."""
    kinds = watched_kinds(served)
    return tuple(Part(version, kind, namespace) for version, kind in kinds for namespace in namespaces or ("",))


class KubernetesPlatform:
    """Implements Platform with the API server and the servers' admin API.

    `changed` is called whenever a cluster or one of its objects has changed; set it before the first watch starts. The
    watches feed `store`; answers to this process's own requests are put into it here.
    """

    def __init__(
        self,
        client: KubernetesClient,
        admin: AdminClient,
        metrics: Metrics,
        namespaces: tuple[str, ...],
        secret_seconds: float = REFRESH_SECONDS,
    ) -> None:
        self._client = client
        self._admin = admin
        self._metrics = metrics
        self._credentials = CredentialMemory()
        self._dry_run = DryRun(client)
        self._fresh_since: datetime | None = None
        self.changed: Changed = lambda _key, _edited: None
        self.store = ObjectStore(parts_of(namespaces), self._note_change)
        self.secrets = SecretReader(client, lambda key: self.changed(key, False), secret_seconds)
        self._tools = ApplierTools(client, admin, metrics, EventRecorder(client), self._credentials, self.secrets)
        client.answered = self._take_answer

    async def read(self, key: Key) -> JsonObject | None:
        """See Platform. Waits until the store is complete."""
        await self.store.complete.wait()
        stored = self.store.cluster(key)
        if stored is None:
            self._credentials.forget(key)
        return stored

    def clusters(self) -> Iterable[tuple[JsonObject, Sequence[JsonObject]]]:
        """See Platform."""
        return self.store.clusters()

    async def observe(self, cluster: RealtimeCluster) -> World:
        """See Platform. Waits until the store is complete; generated credentials are noted."""
        await self.store.complete.wait()
        key = Key(cluster.metadata.namespace, cluster.metadata.name)
        names = sorted(read_secrets(cluster))
        found = await asyncio.gather(*(self.secrets.get(key, name) for name in names))
        secrets = {name: secret for name, secret in zip(names, found, strict=True) if secret is not None}
        for name, secret in secrets.items():
            if controller_uid(secret.document) == cluster.metadata.uid:
                self._credentials.note(key, cluster.metadata.uid, name, secret.values)
        world = await observe(self._admin, cluster, self.store.children(key), secrets)
        world = replace(world, refused=await self._dry_run.refused(cluster, world))
        # Computed last, so that a watch that broke while servers were asked counts.
        unserved = OPTIONAL - self.store.kinds()
        world = replace(world, unserved=unserved, withheld=self.store.withheld)
        return replace(world, stale_since=self.stale_since(), contact_since=self.contact_since())

    async def apply(self, owner: JsonObject, actions: Sequence[Action]) -> tuple[Failure, ...]:
        """See Platform."""
        return await Applier(self._tools, owner).apply(actions)

    def stale_since(self) -> datetime | None:
        """Return since when changes may have been missed; None while watches are open and the API server answers."""
        now = self.store.clock()
        known_until = self.store.known_until()
        lost = self._client.contact.lost_since()
        age = now - min(known_until, now if lost is None else lost)
        self._metrics.stale_seconds.set(age)
        if age > 0:
            self._fresh_since = None
            return datetime.now(UTC) - timedelta(seconds=age)
        if self._fresh_since is None:
            self._fresh_since = datetime.now(UTC)
        return None

    def contact_since(self) -> datetime | None:
        """Return since when no change was missed, as of the last `stale_since`; None while one may have been."""
        return self._fresh_since

    def _note_change(self, key: Key, edited: bool) -> None:
        if edited:
            self.secrets.expire(key)
        self.changed(key, edited)

    def _take_answer(self, method: str, path: str, document: JsonObject) -> None:
        """Put an answer of the API server into the store at once, as the watches may lag behind it."""
        address = address_of(path)
        if address is None or (not address.name and method != "POST"):
            return
        if method == "DELETE" and _is_gone(document):
            self._take_deletion(address.api_version, address.kind, address.namespace, address.name, document)
        elif document.get("kind") == "Secret":
            self.secrets.put(document)
        elif (text_at(document, "apiVersion"), text_at(document, "kind")) in self.store.kinds():
            self.store.put(document)

    def _take_deletion(self, api_version: str, kind: str, namespace: str, name: str, answer: JsonObject) -> None:
        if kind == "Secret":
            self.secrets.deleted(namespace, name)
            return
        uid = text_at(answer, "metadata", "uid") or text_at(answer, "details", "uid")
        metadata: JsonObject = {"namespace": namespace, "name": name, "uid": uid}
        self.store.deleted({"apiVersion": api_version, "kind": kind, "metadata": metadata})


def _is_gone(answer: JsonObject) -> bool:
    """Return True when the answer to a deletion means that the object is gone, not that it will go later."""
    if answer.get("kind") == "Status":
        return answer.get("status") == "Success"
    metadata = answer.get("metadata")
    kept = metadata if isinstance(metadata, dict) else {}
    return not kept.get("finalizers") and not kept.get("deletionGracePeriodSeconds")
