"""Evictions of servers' pods: every process of the operator answers, and marks pods for the one that leads.

Nothing is known from watches, which the leader alone has: all is read when it is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import objects_at, text_at
from realtime_operator.api.errors import InvalidCluster
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.errors import NotFoundError
from realtime_operator.planning.model.difference import controller_uid
from realtime_operator.planning.model.reasons import ConditionType
from realtime_operator.planning.model.timestamps import parse_timestamp, timestamp
from realtime_operator.planning.moving.evictions import Allow, Hold, Verdict, decide, first_request
from realtime_operator.planning.status.prior_status import condition_of, read_status
from realtime_operator.platforms.kubernetes.client import KubernetesClient, path_of
from realtime_operator.platforms.kubernetes.observe import DRAIN_REQUESTED, observe_server
from realtime_operator.platforms.kubernetes.secret_reader import known_secret
from realtime_operator.pods.admin_client import AdminClient


@dataclass(frozen=True, slots=True)
class _Owner:
    """The cluster that a pod is a server of, and values of its admin token."""

    cluster: RealtimeCluster
    tokens: tuple[str, ...]


class Evictions:
    """Answers requests to evict pods. `obstacle` returns why no process moves connections, None when one does."""

    def __init__(self, client: KubernetesClient, admin: AdminClient, obstacle: Callable[[], str | None]) -> None:
        self._client = client
        self._admin = admin
        self._obstacle = obstacle

    async def answer(self, namespace: str, name: str, *, dry_run: bool) -> Verdict:
        """Decide about a pod. One that is held is marked to be replaced and drained, unless it is a dry run.

        Raises PlatformError when the API server does not answer, or the pod is another one by now.
        """
        path = path_of("v1", "Pod", namespace, name)
        try:
            pod = await self._client.get(path)
        except NotFoundError:
            return Allow("there is no such pod")
        if text_at(pod, "metadata", "labels", naming.LABEL_COMPONENT) != naming.COMPONENT_SERVER:
            return Allow("it is no server")
        owner = await self._owner(pod, namespace)
        if owner is None:
            return Allow("it is no server of a RealtimeCluster")
        server = await observe_server(self._admin, pod, owner.tokens)
        now = datetime.now(UTC)
        noted = parse_timestamp(text_at(pod, "metadata", "annotations", naming.ANNOTATION_EVICTION))
        requested_at = first_request(noted if noted is not None and noted.tzinfo else None, now)
        limit = owner.cluster.spec.rollout.drain.timeout_seconds
        prior = read_status(owner.cluster)
        obstacle = self._obstacle_of(owner.cluster, prior.document)
        verdict = decide(server, requested_at, limit, obstacle, now, prior.hold)
        if isinstance(verdict, Hold) and not dry_run and (requested_at != noted or not server.drain_requested):
            annotations: JsonObject = {
                naming.ANNOTATION_DRAIN: DRAIN_REQUESTED,
                naming.ANNOTATION_EVICTION: timestamp(requested_at),
            }
            await self._client.patch(path, {"metadata": {"annotations": annotations}}, server.uid)
        return verdict

    async def _owner(self, pod: JsonObject, namespace: str) -> _Owner | None:
        """Return the owner of a pod; None when its label names a cluster that does not own it, or one that is invalid.

        Only pods that the cluster owns are sent its admin token.
        """
        name = text_at(pod, "metadata", "labels", naming.LABEL_CLUSTER)
        references = objects_at(pod, "metadata", "ownerReferences")
        replica_set = next((text_at(one, "name") for one in references if one.get("kind") == "ReplicaSet"), "")
        if not name or not replica_set:
            return None
        try:
            stored, owner, secret = await asyncio.gather(
                self._client.get(path_of(naming.API_VERSION, naming.KIND, namespace, name)),
                self._client.get(path_of("apps/v1", "ReplicaSet", namespace, replica_set)),
                self._client.get(path_of("v1", "Secret", namespace, naming.credentials_secret(name))),
            )
            cluster = RealtimeCluster.from_object(stored)
        except (NotFoundError, InvalidCluster):
            return None
        uid = cluster.metadata.uid
        owned = controller_uid(owner) == controller_uid(secret) == uid
        if not owned or controller_uid(pod) != text_at(owner, "metadata", "uid"):
            return None
        return _Owner(cluster, known_secret(secret).admin_tokens)

    def _obstacle_of(self, cluster: RealtimeCluster, status: JsonObject) -> str | None:
        """Return why no connections of a cluster are moved; None when they are."""
        if cluster.metadata.deletion_timestamp is not None:
            return "its RealtimeCluster is being deleted"
        if cluster.spec.paused:
            return "its RealtimeCluster is paused"
        accepted = condition_of(status, ConditionType.ACCEPTED)
        if accepted.get("status") == "False":
            return f"its RealtimeCluster is not accepted: {text_at(accepted, 'message')}"
        return self._obstacle()
