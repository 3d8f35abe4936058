"""The ReplicaSet of a revision: the server pods."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import object_at
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_server import Logging
from realtime_operator.builders.manifest import component_labels, component_selector, metadata
from realtime_operator.builders.pods import container, pod
from realtime_operator.builders.pods.pod_settings import with_settings
from realtime_operator.builders.servers.volumes import server_mounts, server_volumes
from realtime_operator.builders.settings import BuildSettings

SPREAD_OVER = ("topology.kubernetes.io/zone", "kubernetes.io/hostname")
"""Labels of nodes over which servers are spread by default."""
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
            "selector": {"matchLabels": selector(cluster, revision)},
            "template": pod_template(cluster, settings, revision),
        },
    }


def pod_template(cluster: RealtimeCluster, settings: BuildSettings, revision: str) -> JsonObject:
    """The template of the server pods; raises PatchError when the patch in the spec cannot be applied."""
    return with_settings(base_template(cluster, settings, revision), cluster.spec.pod, selector(cluster, revision))


def build_pod(cluster: RealtimeCluster, settings: BuildSettings, revision: str) -> JsonObject:
    """Build a pod as the ReplicaSet makes one; raises PatchError as `pod_template`."""
    template = pod_template(cluster, settings, revision)
    name = f"{naming.revision_object(cluster.metadata.name, revision)}-"
    return {
        **template,
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**object_at(template, "metadata"), "generateName": name},
    }


def base_template(cluster: RealtimeCluster, settings: BuildSettings, revision: str) -> JsonObject:
    """The template that the operator needs, without the settings of `spec.pod` that `with_settings` adds."""
    labels: JsonObject = {
        **component_labels(cluster, naming.COMPONENT_SERVER),
        naming.LABEL_REVISION: revision,
        naming.LABEL_SERVING: "true",
    }
    return {"metadata": {"labels": labels}, "spec": _pod(cluster, settings, revision)}


def selector(cluster: RealtimeCluster, revision: str) -> JsonObject:
    """Labels that the server pods of a revision have, and no others."""
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
        "topologySpreadConstraints": [_spread(cluster, revision, key) for key in SPREAD_OVER],
        "containers": [_container(cluster, settings)],
        "volumes": server_volumes(cluster, revision),
    }


def _spread(cluster: RealtimeCluster, revision: str, key: str) -> JsonObject:
    """Build the constraint that spreads the servers over zones or nodes: the loss of one loses few connections."""
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": "ScheduleAnyway",
        "labelSelector": {"matchLabels": selector(cluster, revision)},
    }


def _container(cluster: RealtimeCluster, settings: BuildSettings) -> JsonObject:
    return {
        "name": "server",
        "image": container.server_image(cluster.spec.image, settings),
        "imagePullPolicy": cluster.spec.image.pull_policy or settings.server_image_pull_policy,
        "args": ["run"],
        "env": _environment(cluster.spec.server.logging),
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


def _environment(logging: Logging) -> list[JsonValue]:
    default = Logging()
    level: list[JsonValue] = [{"name": naming.ENV_LOG_LEVEL, "value": logging.level.lower()}]
    form: list[JsonValue] = [{"name": naming.ENV_LOG_FORMAT, "value": logging.format.lower()}]
    return [
        {"name": naming.ENV_CONFIG, "value": f"{naming.CONFIG_DIRECTORY}/{naming.CONFIG_FILE}"},
        _from_pod(naming.ENV_SERVER_NAME, "metadata.name"),
        _from_pod(naming.ENV_REVISION, f"metadata.labels['{naming.LABEL_REVISION}']"),
        *(level if logging.level != default.level else []),
        *(form if logging.format != default.format else []),
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
