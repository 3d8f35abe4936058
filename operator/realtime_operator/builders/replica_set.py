"""The ReplicaSet of a revision: the server pods."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import container, pod
from realtime_operator.builders.manifest import component_labels, component_selector, metadata
from realtime_operator.builders.server_volumes import server_mounts, server_volumes
from realtime_operator.builders.settings import BuildSettings

STOP_SECONDS = 30
"""Seconds of the pod's grace period beyond the drain, to end pending work and to exit."""


def build_replica_set(cluster: RealtimeCluster, settings: BuildSettings, revision: str) -> JsonObject:
    """Build the ReplicaSet without `spec.replicas` and the applied hash, which `Revision` and `with_record` add."""
    name = naming.revision_object(cluster.metadata.name, revision)
    labels: JsonObject = {naming.LABEL_REVISION: revision}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": metadata(cluster, name, naming.COMPONENT_SERVER, labels=labels),
        "spec": {
            "selector": {"matchLabels": _selector(cluster, revision)},
            "template": pod_template(cluster, settings, revision),
        },
    }


def pod_template(cluster: RealtimeCluster, settings: BuildSettings, revision: str) -> JsonObject:
    """The template of the server pods."""
    labels: JsonObject = {
        **cluster.spec.pod.labels,
        **component_labels(cluster, naming.COMPONENT_SERVER),
        naming.LABEL_REVISION: revision,
        naming.LABEL_SERVING: "true",
    }
    annotations = cluster.spec.pod.annotations
    return {
        "metadata": {"labels": labels, **({"annotations": {**annotations}} if annotations else {})},
        "spec": _pod(cluster, settings, revision),
    }


def _selector(cluster: RealtimeCluster, revision: str) -> JsonObject:
    return {**component_selector(cluster, naming.COMPONENT_SERVER), naming.LABEL_REVISION: revision}


def _pod(cluster: RealtimeCluster, settings: BuildSettings, revision: str) -> JsonObject:
    drain = cluster.spec.rollout.drain
    return {
        "serviceAccountName": naming.service_account(cluster.metadata.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **pod.image_pull_secrets(settings, cluster.spec.pod.image_pull_secrets),
        "securityContext": pod.pod_security_context(),
        "terminationGracePeriodSeconds": drain.settle_seconds + drain.timeout_seconds + STOP_SECONDS,
        "topologySpreadConstraints": [_spread(cluster, revision)],
        **_placement(cluster),
        "containers": [_container(cluster, settings)],
        "volumes": server_volumes(cluster, revision),
    }


def _spread(cluster: RealtimeCluster, revision: str) -> JsonObject:
    """Build the constraint that spreads the servers over nodes, so that the loss of a node loses few connections."""
    return {
        "maxSkew": 1,
        "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": _selector(cluster, revision)},
    }


def _placement(cluster: RealtimeCluster) -> JsonObject:
    wanted = cluster.spec.pod
    tolerations: list[JsonValue] = [
        toleration.model_dump(mode="json", by_alias=True, exclude_none=True) for toleration in wanted.tolerations
    ]
    return {
        **({"nodeSelector": {**wanted.node_selector}} if wanted.node_selector else {}),
        **({"tolerations": tolerations} if tolerations else {}),
    }


def _container(cluster: RealtimeCluster, settings: BuildSettings) -> JsonObject:
    return {
        "name": "server",
        "image": container.server_image(cluster.spec.image, settings),
        "imagePullPolicy": cluster.spec.image.pull_policy or settings.server_image_pull_policy,
        "args": ["run"],
        "env": _environment(),
        "ports": [
            {"name": naming.PORT_NAME_CLIENT, "containerPort": naming.PORT_CLIENT, "protocol": "TCP"},
            {"name": naming.PORT_NAME_API, "containerPort": naming.PORT_API, "protocol": "TCP"},
            {"name": naming.PORT_NAME_ADMIN, "containerPort": naming.PORT_ADMIN, "protocol": "TCP"},
        ],
        "resources": container.merge_resources(
            cluster.spec.pod.resources, container.SERVER_REQUESTS, container.SERVER_LIMITS
        ),
        "securityContext": pod.container_security_context(),
        "lifecycle": {"preStop": {"exec": {"command": ["realtime-server", "drain"]}}},
        # A start under a small CPU limit takes seconds; a busy event loop must not be mistaken for a dead one.
        "startupProbe": _probe("/health/live", period=1, failures=120),
        "readinessProbe": _probe("/health/ready", period=2, failures=3),
        "livenessProbe": _probe("/health/live", period=10, failures=6),
        "volumeMounts": server_mounts(cluster),
    }


def _environment() -> list[JsonValue]:
    return [
        {"name": naming.ENV_CONFIG, "value": f"{naming.CONFIG_DIRECTORY}/{naming.CONFIG_FILE}"},
        _from_pod(naming.ENV_SERVER_NAME, "metadata.name"),
        _from_pod(naming.ENV_REVISION, f"metadata.labels['{naming.LABEL_REVISION}']"),
    ]


def _from_pod(name: str, path: str) -> JsonObject:
    return {"name": name, "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}}


def _probe(path: str, *, period: int, failures: int) -> JsonObject:
    return {
        "httpGet": {"path": path, "port": naming.PORT_NAME_ADMIN, "scheme": "HTTP"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
        "successThreshold": 1,
    }
