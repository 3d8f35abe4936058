"""Observation of a cluster: objects from the store and reports of its servers, as one frozen World."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import dig, object_at, objects_at, text_at
from realtime_operator.api.references import referred_secrets
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.planning.model.difference import controller_uid
from realtime_operator.planning.model.world import (
    AdminAccess,
    RedisPod,
    Server,
    ServerReport,
    VolumeClaim,
    World,
    object_key,
)
from realtime_operator.planning.redis.volumes import mounts_certificate
from realtime_operator.platforms.kubernetes.secret_reader import KnownSecret
from realtime_operator.pods.admin_client import AdminClient

LABEL_CONTROLLER_REVISION = "controller-revision-hash"
"""Label of pods of a StatefulSet: the revision of the StatefulSet that the pod was made from."""

FIRST_STATUS = timedelta(seconds=1)
"""Upper bound of the time between a pod's start and its first conditions, which have a resolution of a second."""

DRAIN_REQUESTED = "requested"
"""Value of ANNOTATION_DRAIN that requests a drain."""
WAITS_FOR_OTHERS = "PodInitializing"
"""Waiting reason of containers whose init containers have not ended, or of a sidecar that has not started."""


async def observe(
    admin: AdminClient,
    cluster: RealtimeCluster,
    children: Sequence[JsonObject],
    secrets: Mapping[str, KnownSecret],
) -> World:
    """Return the World of a cluster from its stored objects and the current reports of its servers.

    `children` are the objects with the cluster's label, `secrets` those that it owns or refers to, by name.
    """
    name, uid = cluster.metadata.name, cluster.metadata.uid
    owned = [item for item in children if item["kind"] != "Pod" and controller_uid(item) == uid]
    own_secrets = {n: secret for n, secret in secrets.items() if controller_uid(secret.document) == uid}
    credentials = own_secrets.get(naming.credentials_secret(name))
    tokens = () if credentials is None else credentials.admin_tokens
    pods = [item for item in children if item["kind"] == "Pod"]
    server_pods = _controlled(pods, "ReplicaSet", owned)
    servers = await asyncio.gather(*(observe_server(admin, pod, tokens) for pod in server_pods))
    redis_pods = [*_controlled(pods, "StatefulSet", owned), *(pod for pod in pods if controller_uid(pod) == uid)]
    return World(
        objects={object_key(item): item for item in (*owned, *(secret.document for secret in own_secrets.values()))},
        servers=tuple(servers),
        secrets=_hashes(cluster, secrets),
        redis=tuple(read_redis_pod(pod) for pod in redis_pods),
        claims=tuple(_claims(name, children)),
    )


def _claims(cluster: str, children: Iterable[JsonObject]) -> Iterator[VolumeClaim]:
    """Yield the claims that the StatefulSet of Redis makes or finds; they are nobody's children."""
    for item in children:
        name = text_at(item, "metadata", "name")
        if item["kind"] == "PersistentVolumeClaim" and name.startswith(naming.redis_claim_prefix(cluster)):
            yield VolumeClaim(
                name=name,
                uid=text_at(item, "metadata", "uid"),
                size=text_at(item, "spec", "resources", "requests", "storage"),
                storage_class=text_at(item, "spec", "storageClassName"),
            )


def _hashes(cluster: RealtimeCluster, secrets: Mapping[str, KnownSecret]) -> dict[str, Mapping[str, str]]:
    """Return the hashes of the Secrets that the cluster owns or refers to; others of those names are left out."""
    referred, uid = referred_secrets(cluster), cluster.metadata.uid
    return {
        name: secret.hashes
        for name, secret in secrets.items()
        if name in referred or controller_uid(secret.document) == uid
    }


def _controlled(pods: Iterable[JsonObject], kind: str, owned: Iterable[JsonObject]) -> list[JsonObject]:
    """Return the pods whose controller is one of the cluster's objects of a kind."""
    controllers = {text_at(item, "metadata", "uid") for item in owned if item["kind"] == kind}
    return [pod for pod in pods if controller_uid(pod) in controllers]


async def observe_server(admin: AdminClient, pod: JsonObject, tokens: tuple[str, ...]) -> Server:
    """Return a server by its pod and its report, which it has if it answers and accepts one of the tokens."""
    address = text_at(pod, "status", "podIP")
    running = text_at(pod, "status", "phase") == "Running"
    report = await admin.report(address, tokens) if address and tokens and running else None
    return read_server(pod, report)


def read_server(pod: JsonObject, report: ServerReport | None) -> Server:
    """Parse a server pod into the planner's model."""
    metadata = pod["metadata"]
    annotations = dig(metadata, "annotations")
    waiting_reason, waiting_message = _waiting(pod)
    quiesced_at = text_at(annotations, naming.ANNOTATION_QUIESCED_AT)
    ready = _condition(pod, "Ready")
    return Server(
        name=text_at(metadata, "name"),
        uid=text_at(metadata, "uid"),
        revision=text_at(metadata, "labels", naming.LABEL_REVISION),
        created_at=datetime.fromisoformat(text_at(metadata, "creationTimestamp")),
        serving=text_at(metadata, "labels", naming.LABEL_SERVING) == "true",
        ready=text_at(ready, "status") == "True",
        unready_since=_unready_since(pod, ready),
        ready_since=_time(text_at(ready, "lastTransitionTime")) if text_at(ready, "status") == "True" else None,
        was_ready=_was_ready(pod, ready),
        terminating=dig(metadata, "deletionTimestamp") is not None,
        failed=text_at(pod, "status", "phase") in {"Failed", "Succeeded"},
        quiesced_at=_time(quiesced_at),
        drain_requested=text_at(annotations, naming.ANNOTATION_DRAIN) == DRAIN_REQUESTED,
        deletion_cost=_cost(text_at(annotations, naming.ANNOTATION_DELETION_COST)),
        waiting_reason=waiting_reason,
        waiting_message=waiting_message,
        admin=_admin_access(pod),
        report=report,
    )


def _admin_access(pod: JsonObject) -> AdminAccess | None:
    address = text_at(pod, "status", "podIP")
    cluster = text_at(pod, "metadata", "labels", naming.LABEL_CLUSTER)
    return AdminAccess(address, naming.credentials_secret(cluster)) if address else None


def _time(value: str) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if value else None
    except ValueError:
        return None


def _cost(value: str) -> int:
    try:
        return int(value or "0")
    except ValueError:
        return 0


def read_redis_pod(pod: JsonObject) -> RedisPod:
    """Parse a pod of the managed Redis, or a trial pod, into the planner's model."""
    waiting_reason, waiting_message = _waiting(pod)
    ready = _condition(pod, "Ready")
    trial = text_at(pod, "metadata", "labels", naming.LABEL_COMPONENT) == naming.COMPONENT_REDIS_TRIAL
    made_from = (
        text_at(pod, "metadata", "annotations", naming.ANNOTATION_APPLIED)
        if trial
        else text_at(pod, "metadata", "labels", LABEL_CONTROLLER_REVISION)
    )
    return RedisPod(
        name=text_at(pod, "metadata", "name"),
        uid=text_at(pod, "metadata", "uid"),
        template=made_from,
        created_at=datetime.fromisoformat(text_at(pod, "metadata", "creationTimestamp")),
        ready=text_at(ready, "status") == "True",
        unready_since=_unready_since(pod, ready),
        terminating=dig(pod, "metadata", "deletionTimestamp") is not None,
        trial=trial,
        service=text_at(pod, "spec", "subdomain"),
        tls=mounts_certificate(pod),
        waiting_reason=waiting_reason,
        waiting_message=waiting_message,
    )


def _condition(pod: JsonObject, name: str) -> JsonObject:
    found = (condition for condition in objects_at(pod, "status", "conditions") if condition.get("type") == name)
    return next(found, {})


def _was_ready(pod: JsonObject, ready: JsonObject) -> bool:
    """Return True when the pod is or was ready: its condition has changed after the kubelet's first write."""
    if text_at(ready, "status") == "True":
        return True
    since, started = _time(text_at(ready, "lastTransitionTime")), _time(text_at(pod, "status", "startTime"))
    return since is not None and started is not None and since - started > FIRST_STATUS


def _unready_since(pod: JsonObject, ready: JsonObject) -> datetime | None:
    """Return when the pod stopped being ready, or its creation when it has no condition yet; None while it is ready."""
    if text_at(ready, "status") == "True":
        return None
    return _time(text_at(ready, "lastTransitionTime")) or _time(text_at(pod, "metadata", "creationTimestamp"))


def _waiting(pod: JsonObject) -> tuple[str | None, str | None]:
    """Return the reason and the message for which a container does not run, from the kubelet or the scheduler.

    Containers that wait for the init containers are told last.
    """
    statuses = [*objects_at(pod, "status", "containerStatuses"), *objects_at(pod, "status", "initContainerStatuses")]
    waiting = [object_at(status, "state", "waiting") for status in statuses]
    for state in sorted(waiting, key=lambda state: state.get("reason") == WAITS_FOR_OTHERS):
        reason = text_at(state, "reason")
        if reason:
            return reason, text_at(state, "message") or None
    for condition in objects_at(pod, "status", "conditions"):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            return text_at(condition, "reason") or "Unschedulable", text_at(condition, "message") or None
    started = dig(pod, "status", "containerStatuses")
    return (None, None) if started else ("Pending", None)
