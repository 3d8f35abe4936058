"""The managed Redis: one pod, with an append-only file on a volume of the pod's lifetime.

A restart of the container keeps the data. When the pod is replaced, histories are lost, and servers report that to
clients.
"""

from __future__ import annotations

from collections.abc import Mapping

from realtime_operator import naming
from realtime_operator.api import quantity
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_backplane import ManagedRedis
from realtime_operator.builders import container, pod
from realtime_operator.builders.manifest import component_labels, component_selector, metadata, object_of
from realtime_operator.builders.pod_settings import with_settings
from realtime_operator.builders.record import redis_hash, with_record
from realtime_operator.builders.settings import BuildSettings

DATA_DIRECTORY = "/data"
PASSWORD_FILE = f"{naming.REDIS_CREDENTIALS_DIRECTORY}/{naming.KEY_REDIS_PASSWORD}"
MEMORY_PART = 0.6
"""Part of the memory limit for data; the rest is for client buffers and the rewrite of the append-only file."""

# The password is passed as a file: arguments and environment are visible to others. printf is a builtin of the shell.
START = """umask 077
printf 'requirepass "%s"\\n' "$(sed 's/[\\"]/\\\\&/g' {password_file})" > {configuration}
exec redis-server {configuration} --port {port} --dir {directory} --appendonly yes --appendfsync everysec --save '' \
--maxmemory {memory} --maxmemory-policy noeviction"""

PING = f'REDISCLI_AUTH="$(cat {PASSWORD_FILE})" redis-cli -p {naming.PORT_REDIS} ping | grep -Eq'


def build_redis_stateful_set(
    cluster: RealtimeCluster, settings: BuildSettings, secrets: Mapping[str, Mapping[str, str]]
) -> JsonObject | None:
    """Build the StatefulSet; None when an external Redis is used, or while its password does not exist.

    `secrets` maps each existing Secret to the SHA-256 of its values: the pod is replaced when its password changes.
    """
    managed = cluster.spec.backplane.managed
    name = naming.redis(cluster.metadata.name)
    checksum = secrets.get(name, {}).get(naming.KEY_REDIS_PASSWORD)
    if managed is None or checksum is None:
        return None
    manifest: JsonObject = {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": metadata(cluster, name, naming.COMPONENT_REDIS),
        "spec": {
            "replicas": 1,
            "serviceName": name,
            "selector": {"matchLabels": component_selector(cluster, naming.COMPONENT_REDIS)},
            "template": with_settings(
                {
                    "metadata": {
                        "labels": component_labels(cluster, naming.COMPONENT_REDIS),
                        "annotations": {naming.ANNOTATION_CHECKSUM: checksum[:16]},
                    },
                    "spec": _pod(cluster, managed, settings),
                },
                managed.pod,
                component_selector(cluster, naming.COMPONENT_REDIS),
            ),
        },
    }
    return with_record(manifest, redis_hash(managed, checksum), settings)


def _pod(cluster: RealtimeCluster, managed: ManagedRedis, settings: BuildSettings) -> JsonObject:
    secret = naming.redis(cluster.metadata.name)
    return {
        "serviceAccountName": naming.service_account(cluster.metadata.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **pod.image_pull_secrets(settings, managed.image_pull_secrets),
        "securityContext": pod.pod_security_context(),
        "terminationGracePeriodSeconds": 30,
        "containers": [_container(managed, settings)],
        "volumes": [
            pod.secret_volume("password", secret, {naming.KEY_REDIS_PASSWORD: naming.KEY_REDIS_PASSWORD}),
            {"name": "data", "emptyDir": {}},
            pod.temporary_volume("16Mi"),
        ],
    }


def _container(managed: ManagedRedis, settings: BuildSettings) -> JsonObject:
    container_resources = container.merge_resources(managed.resources, container.REDIS_REQUESTS, container.REDIS_LIMITS)
    limit = quantity.whole(str(object_of(container_resources["limits"])["memory"]))
    start = START.format(
        password_file=PASSWORD_FILE,
        configuration=f"{pod.TEMPORARY_DIRECTORY}/redis.conf",
        port=naming.PORT_REDIS,
        directory=DATA_DIRECTORY,
        memory=int(limit * MEMORY_PART),
    )
    return {
        "name": "redis",
        "image": managed.image or settings.redis_image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", start],
        "ports": [{"name": naming.PORT_NAME_REDIS, "containerPort": naming.PORT_REDIS, "protocol": "TCP"}],
        "resources": container_resources,
        "securityContext": pod.container_security_context(),
        "readinessProbe": _probe("^PONG", period=2, failures=3),
        "livenessProbe": _probe("^PONG|LOADING", period=10, failures=6),
        "volumeMounts": [
            pod.mount("password", naming.REDIS_CREDENTIALS_DIRECTORY),
            pod.mount("data", DATA_DIRECTORY, read_only=False),
            pod.mount("tmp", pod.TEMPORARY_DIRECTORY, read_only=False),
        ],
    }


def _probe(answer: str, *, period: int, failures: int) -> JsonObject:
    return {
        "exec": {"command": ["sh", "-c", f"{PING} '{answer}'"]},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
        "successThreshold": 1,
    }
