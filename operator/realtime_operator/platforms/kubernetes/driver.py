"""Kubernetes as a platform of the operator."""

from __future__ import annotations

from collections.abc import Sequence

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.errors import NotFoundError
from realtime_operator.metrics import Metrics
from realtime_operator.planning.plan import Action, Failure
from realtime_operator.planning.world import World
from realtime_operator.platforms.base import Key
from realtime_operator.platforms.kubernetes.apply import Applier, ApplierTools
from realtime_operator.platforms.kubernetes.client import KubernetesClient, path_of
from realtime_operator.platforms.kubernetes.credential_memory import CredentialMemory
from realtime_operator.platforms.kubernetes.event_recorder import EventRecorder
from realtime_operator.platforms.kubernetes.observe import observe
from realtime_operator.pods.admin_client import AdminClient


class KubernetesPlatform:
    """Implements Platform with the API server and the servers' admin API."""

    def __init__(self, client: KubernetesClient, admin: AdminClient, metrics: Metrics) -> None:
        self._client = client
        self._admin = admin
        self._credentials = CredentialMemory()
        self._tools = ApplierTools(client, admin, metrics, EventRecorder(client), self._credentials)

    async def read(self, key: Key) -> JsonObject | None:
        """See Platform."""
        try:
            return await self._client.get(path_of(naming.API_VERSION, naming.KIND, key.namespace, key.name))
        except NotFoundError:
            self._credentials.forget(key)
            return None

    async def observe(self, cluster: RealtimeCluster) -> World:
        """See Platform."""
        return await observe(self._client, self._admin, cluster, self._credentials)

    async def apply(self, owner: JsonObject, actions: Sequence[Action]) -> tuple[Failure, ...]:
        """See Platform."""
        return await Applier(self._tools, owner).apply(actions)
