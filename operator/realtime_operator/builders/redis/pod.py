"""The pods of the managed Redis: one alone, or with failover one of three that have a sentinel beside Redis."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api import quantity
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_managed_redis import ManagedRedis
from realtime_operator.builders.manifest import component_selector, object_of
from realtime_operator.builders.pods import container, pod
from realtime_operator.builders.redis import tls_options
from realtime_operator.builders.redis.failover_script import STOP_SECONDS, FailoverScripts
from realtime_operator.builders.redis.metrics_exporter import exporter_container
from realtime_operator.builders.redis.script import DATA_DIRECTORY, ping_script, standalone_script
from realtime_operator.builders.redis.volume import data_volumes
from realtime_operator.builders.settings import BuildSettings

MEMORY_PART = 0.6
"""Part of the memory limit for data; the rest is for client buffers and the rewrite of the append-only file."""
ENV_POD_NAME = "POD_NAME"


def redis_pod(cluster: RealtimeCluster, managed: ManagedRedis, settings: BuildSettings) -> JsonObject:
    """Build the spec of the pods."""
    secret = naming.redis(cluster.metadata.name)
    fails_over = cluster.spec.backplane.has_failover
    containers = (_failover if fails_over else _standalone)(cluster, managed, settings)
    certificate, exporter = tls_options.tls_secret(cluster), managed.exporter
    passwords = (naming.KEY_REDIS_PASSWORD, *(() if exporter is None else (naming.KEY_EXPORTER_PASSWORD,)))
    if exporter is not None:
        containers.append(exporter_container(exporter, secret, tls=certificate is not None))
    return {
        "serviceAccountName": naming.service_account(cluster.metadata.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **pod.image_pull_secrets(settings, managed.image_pull_secrets),
        "securityContext": pod.pod_security_context(),
        "terminationGracePeriodSeconds": STOP_SECONDS,
        **({"affinity": _apart(cluster)} if fails_over else {}),
        "containers": containers,
        "volumes": [
            pod.secret_volume("password", secret, {key: key for key in passwords}),
            *([] if certificate is None else [tls_options.tls_volume(certificate)]),
            *data_volumes(managed.persistence),
            pod.temporary_volume("16Mi"),
        ],
    }


def _apart(cluster: RealtimeCluster) -> JsonObject:
    """Prefer another node for each pod: with two pods on a node its loss would leave no majority of sentinels."""
    term: JsonObject = {
        "topologyKey": "kubernetes.io/hostname",
        "labelSelector": {"matchLabels": component_selector(cluster, naming.COMPONENT_REDIS)},
    }
    preferred: list[JsonValue] = [{"weight": 100, "podAffinityTerm": term}]
    return {"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}


def failover_scripts(cluster: RealtimeCluster) -> FailoverScripts:
    """Return the programs of the cluster's pods."""
    managed = cluster.spec.backplane.managed
    return FailoverScripts(
        naming.redis(cluster.metadata.name),
        node_suffix(cluster),
        tls=tls_options.tls_secret(cluster) is not None,
        exporter=managed is not None and managed.exporter is not None,
    )


def node_suffix(cluster: RealtimeCluster) -> str:
    """Return what follows the pod's name in its host name, inside the Kubernetes cluster."""
    return f"{naming.redis_nodes(cluster.metadata.name)}.{cluster.metadata.namespace}.svc"


def _standalone(cluster: RealtimeCluster, managed: ManagedRedis, settings: BuildSettings) -> list[JsonValue]:
    """Build the container of a pod alone. It has replicas while the mode changes, and gives its role to one of them."""
    scripts, resources = failover_scripts(cluster), _resources(managed)
    tls, exporter = managed.tls is not None, managed.exporter is not None
    own, verified = (tls_options.OWN_POD, tls_options.VERIFIED) if tls else ("", "")
    data: JsonObject = {
        "name": "redis",
        **_shared(managed, settings),
        "command": _shell(standalone_script(_memory(resources), tls=tls, exporter=exporter)),
        "ports": [_port(naming.PORT_NAME_REDIS, naming.PORT_REDIS)],
        "resources": resources,
        "lifecycle": _stop(scripts),
        "readinessProbe": _probe(ping_script("^PONG", tls_options=verified), period=2, failures=3),
        "livenessProbe": _probe(ping_script("^PONG|LOADING", tls_options=own), period=10, failures=6),
        "volumeMounts": _mounts(tls=tls),
    }
    return [data]


def _failover(cluster: RealtimeCluster, managed: ManagedRedis, settings: BuildSettings) -> list[JsonValue]:
    scripts, resources, tls = failover_scripts(cluster), _resources(managed), managed.tls is not None
    own = tls_options.OWN_POD if tls else ""
    data: JsonObject = {
        "name": "redis",
        **_shared(managed, settings),
        "command": _shell(scripts.data(_memory(resources))),
        "ports": [_port(naming.PORT_NAME_REDIS, naming.PORT_REDIS)],
        "resources": resources,
        "lifecycle": _stop(scripts),
        "readinessProbe": _probe(scripts.ready(), period=2, failures=3),
        "livenessProbe": _probe(ping_script("^PONG|LOADING|MASTERDOWN", tls_options=own), period=10, failures=18),
        "volumeMounts": _mounts(tls=tls),
    }
    sentinel: JsonObject = {
        "name": "sentinel",
        **_shared(managed, settings),
        "command": _shell(scripts.sentinel()),
        "ports": [_port(naming.PORT_NAME_SENTINEL, naming.PORT_SENTINEL)],
        "resources": {"requests": {"cpu": "20m", "memory": "32Mi"}, "limits": {"memory": "64Mi"}},
        "readinessProbe": _probe(scripts.sentinel_ready(), period=2, failures=3),
        "volumeMounts": _mounts(tls=tls),
    }
    return [data, sentinel]


def _stop(scripts: FailoverScripts) -> JsonObject:
    return {"preStop": {"exec": {"command": _shell(scripts.planned_failover())}}}


def _shared(managed: ManagedRedis, settings: BuildSettings) -> JsonObject:
    name: JsonObject = {"apiVersion": "v1", "fieldPath": "metadata.name"}
    return {
        **_image(managed, settings),
        "env": [{"name": ENV_POD_NAME, "valueFrom": {"fieldRef": name}}],
        "securityContext": pod.container_security_context(),
    }


def _resources(managed: ManagedRedis) -> JsonObject:
    return container.merge_resources(managed.resources, container.REDIS_REQUESTS, container.REDIS_LIMITS)


def _memory(resources: JsonObject) -> int:
    return int(quantity.whole(str(object_of(resources["limits"])["memory"])) * MEMORY_PART)


def _image(managed: ManagedRedis, settings: BuildSettings) -> JsonObject:
    return {"image": managed.image or settings.redis_image, "imagePullPolicy": "IfNotPresent"}


def _shell(program: str) -> list[JsonValue]:
    return ["sh", "-c", program]


def _port(name: str, number: int) -> JsonObject:
    return {"name": name, "containerPort": number, "protocol": "TCP"}


def _mounts(*, tls: bool) -> list[JsonValue]:
    return [
        pod.mount("password", naming.REDIS_CREDENTIALS_DIRECTORY),
        *([pod.mount(tls_options.VOLUME, naming.REDIS_TLS_DIRECTORY)] if tls else []),
        pod.mount(naming.VOLUME_REDIS_DATA, DATA_DIRECTORY, read_only=False),
        pod.mount("tmp", pod.TEMPORARY_DIRECTORY, read_only=False),
    ]


def _probe(program: str, *, period: int, failures: int) -> JsonObject:
    return {
        "exec": {"command": _shell(program)},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
        "successThreshold": 1,
    }
