"""Validation beyond the schema and its rules: of references to other objects, and of rules of pods."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_network

from realtime_operator.api.errors import Finding, FindingReason
from realtime_operator.api.references import Reference, references
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_pod import PodSettings, Toleration

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", re.ASCII)
_MAX_PREFIX_LENGTH = 253

KEY_MESSAGE = "is not a valid key: write name or example.com/name, with at most 63 characters in the name"
VALUE_MESSAGE = (
    "is not a valid label value: use at most 63 letters, digits, -, _ and ., with a letter or digit at both ends"
)


def validate(cluster: RealtimeCluster, secrets: Mapping[str, Mapping[str, str]]) -> tuple[Finding, ...]:
    """Return the problems of a cluster that its models accept; empty when there is none.

    `secrets` has the keys of each existing Secret.
    """
    return (*_missing_secrets(cluster, secrets), *wrong_fields(cluster))


def wrong_fields(cluster: RealtimeCluster) -> tuple[Finding, ...]:
    """Return the problems of a cluster by itself, whatever else exists."""
    return (*_wrong_keys(cluster), *_wrong_tolerations(cluster), *_wrong_networks(cluster))


def _missing_secrets(cluster: RealtimeCluster, secrets: Mapping[str, Mapping[str, str]]) -> Iterator[Finding]:
    for reference in references(cluster):
        found = _missing(reference, secrets)
        if found is not None:
            yield found


def _missing(reference: Reference, secrets: Mapping[str, Mapping[str, str]]) -> Finding | None:
    keys = secrets.get(reference.secret)
    if keys is None:
        todo = f"create it with the key {reference.key}"
        message = f"the Secret {reference.secret} does not exist in the cluster's namespace: {todo}"
        return Finding(reference.path, FindingReason.SECRET_NOT_FOUND, message)
    if reference.key not in keys:
        there = ", ".join(sorted(keys)) or "none"
        message = f"the Secret {reference.secret} has no key {reference.key}; its keys are: {there}"
        return Finding(reference.path, FindingReason.SECRET_KEY_NOT_FOUND, message)
    return None


def _wrong_keys(cluster: RealtimeCluster) -> Iterator[Finding]:
    """Yield the labels and annotations that the API server would refuse on the children."""
    common, endpoint = cluster.spec.common_metadata, cluster.spec.endpoint
    labels = {"spec.commonMetadata.labels": common.labels}
    annotations = {
        "spec.commonMetadata.annotations": common.annotations,
        "spec.endpoint.service.annotations": endpoint.service.annotations,
        "spec.endpoint.ingress.annotations": {} if endpoint.ingress is None else endpoint.ingress.annotations,
        "spec.endpoint.gateway.annotations": {} if endpoint.gateway is None else endpoint.gateway.annotations,
    }
    for path, pod in _pods(cluster).items():
        labels |= {f"{path}.labels": pod.labels, f"{path}.nodeSelector": pod.node_selector}
        annotations |= {f"{path}.annotations": pod.annotations}
    for path, entries in {**labels, **annotations}.items():
        for key, value in entries.items():
            if not is_qualified_name(key):
                yield Finding(path, FindingReason.INVALID_FIELD, f"{key!r} {KEY_MESSAGE}")
            if path in labels and value and not _NAME.fullmatch(value):
                yield Finding(f"{path}[{key}]", FindingReason.INVALID_FIELD, f"{value!r} {VALUE_MESSAGE}")


def _pods(cluster: RealtimeCluster) -> dict[str, PodSettings]:
    """Return the settings of pods by their paths."""
    managed = cluster.spec.backplane.managed
    redis = {} if managed is None else {"spec.backplane.redis.managed.pod": managed.pod}
    return {"spec.pod": cluster.spec.pod, **redis}


def is_qualified_name(key: str) -> bool:
    """Return True when a text is valid as the key of a label or annotation."""
    prefix, slash, name = key.rpartition("/")
    if slash and not (_PREFIX.fullmatch(prefix) and len(prefix) <= _MAX_PREFIX_LENGTH):
        return False
    return _NAME.fullmatch(name) is not None


def _wrong_networks(cluster: RealtimeCluster) -> Iterator[Finding]:
    """Yield the networks that the API server or the servers would refuse."""
    endpoint = cluster.spec.endpoint
    fields = {
        "spec.endpoint.proxies.trusted": endpoint.proxies.trusted,
        "spec.endpoint.service.loadBalancerSourceRanges": endpoint.service.load_balancer_source_ranges,
    }
    for path, networks in fields.items():
        for index, network in enumerate(networks):
            try:
                ip_network(network)
            except ValueError as error:
                message = f"{error}: write a network like 10.0.0.0/8 or 2001:db8::/32"
                yield Finding(f"{path}[{index}]", FindingReason.INVALID_FIELD, message)


def _wrong_tolerations(cluster: RealtimeCluster) -> Iterator[Finding]:
    for path, pod in _pods(cluster).items():
        for index, toleration in enumerate(pod.tolerations):
            message = _wrong_toleration(toleration)
            if message:
                yield Finding(f"{path}.tolerations[{index}]", FindingReason.INVALID_FIELD, message)


def _wrong_toleration(toleration: Toleration) -> str | None:
    if toleration.operator == "Exists" and toleration.value:
        return "value must be absent when operator is Exists, which matches any value"
    if not toleration.key and toleration.operator != "Exists":
        return "operator must be Exists when key is absent: the toleration then matches every taint"
    if toleration.key and not is_qualified_name(toleration.key):
        return f"key {toleration.key!r} {KEY_MESSAGE}"
    if toleration.toleration_seconds is not None and toleration.effect != "NoExecute":
        return "tolerationSeconds needs the effect NoExecute: no other effect evicts pods"
    return None
