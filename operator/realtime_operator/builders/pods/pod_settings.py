"""The settings of pods in a spec, put into the pod template that the operator needs.

The operator's container is the first of the template. Fields of the spec are added first, the patch in
`template` last; `pod_checks` finds what would break the operator's part.
"""

from __future__ import annotations

from realtime_operator.api import quantity
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.document import object_at, objects_at
from realtime_operator.api.v1alpha1_pod import PodSettings
from realtime_operator.builders.pods.strategic_merge import strategic_merge

DEFAULT_CONTAINER = "kubectl.kubernetes.io/default-container"

_TEXT_MAPS = frozenset({"annotations", "labels", "matchLabels", "nodeSelector", "options", "volumeAttributes"})
_QUANTITY_MAPS = frozenset({"limits", "overhead", "requests"})
_QUANTITIES = frozenset({"divisor", "sizeLimit"})
_OMITTED_FALSE = frozenset(
    {
        "chapAuthDiscovery",
        "chapAuthSession",
        "hostIPC",
        "hostNetwork",
        "hostPID",
        "readOnly",
        "sslEnabled",
        "stdin",
        "stdinOnce",
        "tty",
    }
)
_OMITTED_ZERO = frozenset(
    {
        "failureThreshold",
        "hostPort",
        "initialDelaySeconds",
        "partition",
        "periodSeconds",
        "successThreshold",
        "timeoutSeconds",
    }
)
_KEPT_EMPTY = frozenset({"apiGroup", "storageClassName", "volumeAttributesClassName"})
"""Fields of a pod by the way in which the API server returns them: Kubernetes 1.34, core/v1/types.go.

Maps of texts are not looked into. Zero values of fields that are no pointers are omitted.
"""


def with_settings(base: JsonObject, settings: PodSettings, selector: JsonObject) -> JsonObject:
    """Return the pod template with the settings; raises PatchError.

    `selector` are the labels of the pods that a spread constraint without a selector is about.
    """
    template = with_fields(base, settings, selector)
    if settings.template is not None:
        template = _with_own_container_first(strategic_merge(template, settings.template), base)
    return _canonical_object(template)


def with_fields(base: JsonObject, settings: PodSettings, selector: JsonObject) -> JsonObject:
    """Return the pod template with the settings that have fields of their own."""
    metadata, pod = object_at(base, "metadata"), object_at(base, "spec")
    own = objects_at(pod, "containers")[0]
    annotations: JsonObject = {**settings.annotations, **object_at(metadata, "annotations")}
    if settings.containers:
        annotations = {DEFAULT_CONTAINER: own["name"], **annotations}
    spread = pod.get("topologySpreadConstraints")
    if settings.topology_spread_constraints is not None:
        spread = [{"labelSelector": {"matchLabels": selector}, **item} for item in settings.topology_spread_constraints]
    changes: JsonObject = {
        "serviceAccountName": settings.service_account_name or pod["serviceAccountName"],
        "securityContext": {**object_at(pod, "securityContext"), **(settings.security_context or {})},
        "topologySpreadConstraints": spread,
        "nodeSelector": {**settings.node_selector},
        "tolerations": [
            toleration.model_dump(mode="json", by_alias=True, exclude_none=True) for toleration in settings.tolerations
        ],
        "affinity": settings.affinity or pod.get("affinity"),
        "priorityClassName": settings.priority_class_name,
        "runtimeClassName": settings.runtime_class_name,
        "initContainers": [*objects_at(pod, "initContainers"), *settings.init_containers],
        "containers": [_container(own, settings), *objects_at(pod, "containers")[1:], *settings.containers],
        "volumes": [*objects_at(pod, "volumes"), *settings.volumes],
    }
    spec: JsonObject = {**pod, **changes}
    return {
        "metadata": {
            "labels": {**settings.labels, **object_at(metadata, "labels")},
            **({"annotations": annotations} if annotations else {}),
        },
        "spec": {name: value for name, value in spec.items() if value not in (None, [], {}) or name not in changes},
    }


def _container(own: JsonObject, settings: PodSettings) -> JsonObject:
    changes: JsonObject = {
        "env": [*objects_at(own, "env"), *settings.env],
        "envFrom": [*settings.env_from],
        "securityContext": {**object_at(own, "securityContext"), **(settings.container_security_context or {})},
        "volumeMounts": [*objects_at(own, "volumeMounts"), *settings.volume_mounts],
    }
    container: JsonObject = {**own, **changes}
    return {name: value for name, value in container.items() if value not in ([], {}) or name not in changes}


def _with_own_container_first(template: JsonObject, base: JsonObject) -> JsonObject:
    """Return the patched template with the operator's container first: patched lists have the patch's order."""
    name = objects_at(base, "spec", "containers")[0]["name"]
    spec = object_at(template, "spec")
    containers = spec.get("containers")
    if not isinstance(containers, list):
        return template
    first = sorted(containers, key=lambda item: not (isinstance(item, dict) and item.get("name") == name))
    return {**template, "spec": {**spec, "containers": first}}


def _canonical_object(document: JsonObject) -> JsonObject:
    """Return a part of a pod template as the API server returns it, without values that it omits."""
    return {key: _canonical(key, value) for key, value in document.items() if not _is_omitted(key, value)}


def _canonical(key: str, value: JsonValue) -> JsonValue:
    if key in _TEXT_MAPS and isinstance(value, dict):
        return value
    if key in _QUANTITY_MAPS and isinstance(value, dict):
        return {name: _quantity(amount) for name, amount in value.items()}
    if key in _QUANTITIES:
        return _quantity(value)
    if isinstance(value, dict):
        return _canonical_object(value)
    if isinstance(value, list):
        return [_canonical_object(item) if isinstance(item, dict) else item for item in value]
    return value


def _quantity(value: JsonValue) -> JsonValue:
    """Return a quantity in its canonical form; what is none stays as it is, for the API server to refuse."""
    written = str(value) if isinstance(value, float) else value
    return quantity.canonical(written) if isinstance(written, int | str) and quantity.is_quantity(written) else value


def _is_omitted(key: str, value: JsonValue) -> bool:
    if value is False:
        return key in _OMITTED_FALSE
    if value == 0 and isinstance(value, int):
        return key in _OMITTED_ZERO
    if value == {}:
        return key in _TEXT_MAPS | _QUANTITY_MAPS
    return value == [] or (value == "" and key not in _KEPT_EMPTY)
