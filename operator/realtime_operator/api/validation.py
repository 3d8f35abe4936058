"""Validation beyond the schema and its rules: of references to other objects, and of rules of pods."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network

from realtime_operator.api import quantity, schedule
from realtime_operator.api.errors import Finding, FindingReason
from realtime_operator.api.references import Reference, references
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_managed_redis import DEFAULT_MEMORY_LIMIT
from realtime_operator.api.v1alpha1_network_policy import IpBlock, LabelSelector, NetworkPolicyPeer
from realtime_operator.api.v1alpha1_pod import PodSettings, Toleration
from realtime_operator.api.v1alpha1_routes import namespace_of, path_placeholders_of

_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)
_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?", re.ASCII)
_MAX_PREFIX_LENGTH = 253

KEY_MESSAGE = "is not a valid key: write name or example.com/name, with at most 63 characters in the name"
VALUE_MESSAGE = (
    "is not a valid label value: use at most 63 letters, digits, -, _ and ., with a letter or digit at both ends"
)

NETWORK_ADVICE = "write a network like 10.0.0.0/8 or 2001:db8::/32"


def validate(cluster: RealtimeCluster, secrets: Mapping[str, Mapping[str, str]]) -> tuple[Finding, ...]:
    """Return the problems of a cluster that its models accept; empty when there is none.

    `secrets` has the keys of each existing Secret.
    """
    return (*missing_secrets(cluster, secrets), *wrong_fields(cluster))


def wrong_fields(cluster: RealtimeCluster) -> tuple[Finding, ...]:
    """Return the problems of a cluster by itself, whatever else exists."""
    checks = (
        _wrong_keys,
        _wrong_tolerations,
        _wrong_networks,
        _small_volumes,
        _wrong_windows,
        _wrong_routes,
        _wrong_consumers,
    )
    return tuple(finding for check in checks for finding in check(cluster))


def missing_secrets(cluster: RealtimeCluster, secrets: Mapping[str, Mapping[str, str]]) -> tuple[Finding, ...]:
    """Return a finding for each reference of the spec to a Secret or key that `secrets` does not have."""
    found = (_missing(reference, secrets) for reference in references(cluster))
    return tuple(finding for finding in found if finding is not None)


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
    labels, annotations = _labels(cluster), _annotations(cluster)
    for path, entries in {**labels, **annotations}.items():
        for key, value in entries.items():
            if not is_qualified_name(key):
                yield Finding(path, FindingReason.INVALID_FIELD, f"{key!r} {KEY_MESSAGE}")
            if path in labels and value and not _NAME.fullmatch(value):
                yield Finding(f"{path}[{key}]", FindingReason.INVALID_FIELD, f"{value!r} {VALUE_MESSAGE}")
    for path, selector in _selectors(cluster).items():
        for index, requirement in enumerate(selector.match_expressions):
            at = f"{path}.matchExpressions[{index}]"
            if not is_qualified_name(requirement.key):
                yield Finding(f"{at}.key", FindingReason.INVALID_FIELD, f"{requirement.key!r} {KEY_MESSAGE}")
            for value in requirement.values:
                if value and not _NAME.fullmatch(value):
                    yield Finding(f"{at}.values", FindingReason.INVALID_FIELD, f"{value!r} {VALUE_MESSAGE}")


def _labels(cluster: RealtimeCluster) -> dict[str, Mapping[str, str]]:
    """Return the labels of objects, and those that objects are selected by, by their paths."""
    found: dict[str, Mapping[str, str]] = {"spec.commonMetadata.labels": cluster.spec.common_metadata.labels}
    for path, pod in _pods(cluster).items():
        found |= {f"{path}.labels": pod.labels, f"{path}.nodeSelector": pod.node_selector}
    monitoring = cluster.spec.monitoring
    if monitoring is not None:
        found |= {
            "spec.monitoring.podMonitor.labels": monitoring.pod_monitor.labels,
            "spec.monitoring.prometheusRule.labels": monitoring.prometheus_rule.labels,
            "spec.monitoring.dashboard.labels": monitoring.dashboard.labels,
        }
    return found | {f"{path}.matchLabels": each.match_labels for path, each in _selectors(cluster).items()}


def _annotations(cluster: RealtimeCluster) -> dict[str, Mapping[str, str]]:
    """Return the annotations of objects by their paths."""
    endpoint, monitoring = cluster.spec.endpoint, cluster.spec.monitoring
    return {
        "spec.commonMetadata.annotations": cluster.spec.common_metadata.annotations,
        "spec.endpoint.service.annotations": endpoint.service.annotations,
        "spec.endpoint.ingress.annotations": {} if endpoint.ingress is None else endpoint.ingress.annotations,
        "spec.endpoint.gateway.annotations": {} if endpoint.gateway is None else endpoint.gateway.annotations,
        "spec.monitoring.dashboard.annotations": {} if monitoring is None else monitoring.dashboard.annotations,
        **{f"{path}.annotations": pod.annotations for path, pod in _pods(cluster).items()},
    }


def _selectors(cluster: RealtimeCluster) -> dict[str, LabelSelector]:
    """Return the selectors of NetworkPolicies by their paths."""
    found: dict[str, LabelSelector] = {}
    for path, peer in _peers(cluster).items():
        if peer.pod_selector is not None:
            found[f"{path}.podSelector"] = peer.pod_selector
        if peer.namespace_selector is not None:
            found[f"{path}.namespaceSelector"] = peer.namespace_selector
    return found


def _peers(cluster: RealtimeCluster) -> dict[str, NetworkPolicyPeer]:
    """Return the peers of NetworkPolicies by their paths."""
    policy = cluster.spec.network_policy
    lists = {
        "spec.networkPolicy.clientFrom": policy.client_from,
        "spec.networkPolicy.apiFrom": policy.api_from,
        "spec.networkPolicy.adminFrom": policy.admin_from,
        **{f"spec.networkPolicy.egress[{index}].to": each.to for index, each in enumerate(policy.egress)},
    }
    return {f"{path}[{index}]": peer for path, peers in lists.items() for index, peer in enumerate(peers)}


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
                message = f"{error}: {NETWORK_ADVICE}"
                yield Finding(f"{path}[{index}]", FindingReason.INVALID_FIELD, message)
    for path, peer in _peers(cluster).items():
        if peer.ip_block is not None:
            yield from _wrong_ranges(f"{path}.ipBlock", peer.ip_block)


def _wrong_ranges(path: str, block: IpBlock) -> Iterator[Finding]:
    """Yield what the API server would refuse in a NetworkPolicy, which takes networks with bits after the prefix."""
    ranges: dict[str, IPv4Network | IPv6Network] = {}
    texts = {"cidr": block.cidr, **{f"except[{index}]": text for index, text in enumerate(block.except_)}}
    for name, text in texts.items():
        try:
            ranges[name] = ip_network(text, strict=False)
        except ValueError as error:
            yield Finding(f"{path}.{name}", FindingReason.INVALID_FIELD, f"{error}: {NETWORK_ADVICE}")
    whole = ranges.pop("cidr", None)
    for name, part in ranges.items():
        if whole is not None and not _is_part(part, whole):
            message = f"{texts[name]} must be a part of cidr, {block.cidr}: it is left out of it"
            yield Finding(f"{path}.{name}", FindingReason.INVALID_FIELD, message)


def _is_part(part: IPv4Network | IPv6Network, whole: IPv4Network | IPv6Network) -> bool:
    """Return True when a network is within another one, and smaller."""
    if isinstance(part, IPv4Network) and isinstance(whole, IPv4Network):
        return part != whole and part.subnet_of(whole)
    if isinstance(part, IPv6Network) and isinstance(whole, IPv6Network):
        return part != whole and part.subnet_of(whole)
    return False


def _small_volumes(cluster: RealtimeCluster) -> Iterator[Finding]:
    """Yield a volume of Redis that its memory does not fit in, which would be too costly a rule of the API server."""
    managed = cluster.spec.backplane.managed
    if managed is None or managed.persistence is None:
        return
    size, limit = managed.persistence.size, managed.resources.limits.get("memory", DEFAULT_MEMORY_LIMIT)
    if quantity.parse(size) < quantity.parse(limit):
        message = (
            f"{size} is below the memory limit of Redis, {limit}: take about four times the limit, as the file grows to"
            " twice what is in memory, and is rewritten beside itself"
        )
        yield Finding("spec.backplane.redis.managed.persistence.size", FindingReason.INVALID_FIELD, message)


def _wrong_windows(cluster: RealtimeCluster) -> Iterator[Finding]:
    """Yield the maintenance windows that never open, or are in no time zone."""
    for index, window in enumerate(cluster.spec.maintenance.windows):
        path = f"spec.maintenance.windows[{index}]"
        message = schedule.problem(window.schedule)
        if message is not None:
            yield Finding(f"{path}.schedule", FindingReason.INVALID_FIELD, message)
        if window.time_zone not in schedule.time_zones():
            message = f"{window.time_zone!r} is not in the IANA database: write a name like Europe/Berlin or Etc/UTC"
            yield Finding(f"{path}.timeZone", FindingReason.INVALID_FIELD, message)


def _wrong_routes(cluster: RealtimeCluster) -> Iterator[Finding]:
    """Yield what servers would refuse in routes for other parts of the spec, and so not start."""
    namespaces = {"default", *(namespace.name for namespace in cluster.spec.namespaces)}
    for index, route in enumerate(cluster.spec.protocols.web_socket.routes):
        path = f"spec.protocols.webSocket.routes[{index}]"
        for place, template in route.templates.items():
            namespace = namespace_of(template)
            if namespace is not None and namespace not in namespaces:
                message = f"there is no namespace {namespace}; add it to spec.namespaces"
                yield Finding(f"{path}.{place}", FindingReason.INVALID_FIELD, message)
            for name in path_placeholders_of(template):
                if name not in route.placeholders:
                    message = f"{{path.{name}}} is not in the path of the route; add /{{{name}}} to {path}.path"
                    yield Finding(f"{path}.{place}", FindingReason.INVALID_FIELD, message)
        if len(set(route.placeholders)) < len(route.placeholders):
            message = "has a placeholder twice; give each its own name"
            yield Finding(f"{path}.path", FindingReason.INVALID_FIELD, message)
        if route.token_cookie is not None and not cluster.spec.server.origins:
            message = "needs spec.server.origins: browsers send a cookie for pages of any origin"
            yield Finding(f"{path}.tokenCookie", FindingReason.INVALID_FIELD, message)


def _wrong_consumers(cluster: RealtimeCluster) -> Iterator[Finding]:
    """Yield what servers would refuse in consumers for other parts of the spec, and so not start."""
    namespaces = {"default", *(namespace.name for namespace in cluster.spec.namespaces)}
    brokers = {broker.name for broker in cluster.spec.brokers}
    seen: set[tuple[str, str]] = set()
    for index, consumer in enumerate(cluster.spec.consumers):
        path = f"spec.consumers[{index}]"
        if consumer.broker not in brokers:
            message = f"there is no broker {consumer.broker}; add it to spec.brokers"
            yield Finding(f"{path}.broker", FindingReason.INVALID_FIELD, message)
        if (consumer.broker, consumer.queue) in seen:
            message = f"the queue {consumer.queue} of {consumer.broker} has a consumer already: remove one of them"
            yield Finding(f"{path}.queue", FindingReason.INVALID_FIELD, message)
        seen.add((consumer.broker, consumer.queue))
        namespace = None if consumer.mapping.channel is None else namespace_of(consumer.mapping.channel)
        if namespace is not None and namespace not in namespaces:
            message = f"there is no namespace {namespace}; add it to spec.namespaces"
            yield Finding(f"{path}.mapping.channel", FindingReason.INVALID_FIELD, message)


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
