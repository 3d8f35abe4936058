"""Leaves of the spec, each with another valid value, for tests that must cover every field."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from realtime_operator.api.base import JsonObject, JsonValue, Model
from realtime_operator.api.errors import InvalidCluster
from realtime_operator.api.v1alpha1 import RealtimeClusterSpec
from tests.kit.document import object_at, parse
from tests.kit.manifests import cluster_of

Leaf = tuple[str | int, ...]
"""Path of a leaf: field names, and indexes of lists of objects."""
EVERYTHING = Path(__file__).parents[1] / "golden" / "manifests" / "everything.yaml"
OTHERS: tuple[JsonValue, ...] = (
    True, False, 1, 2, 3, 7, 150, 1_000_000, "other", "/other", "/other/", "default", ["Publish"],
    "7s", "2s", "40s", "3ms", "3Ki", "2Mi", "900m",
    "http://other.example/a", "7%", "Auto", "ES256", "Always", "Never", "Anyone", "Nobody", "Authenticated", "Disabled",
    "Enabled", "Deny", "None", "NodePort", "Stream", "Conflate", "Exists", "NoExecute", [], ["Info"], ["Disconnects"],
    ["other"], ["https://other.example"], ["10.7.0.0/16"], ["IPv4"], ["/other"], "VersionTLS13", "XForwardedFor",
    "Traefik", "Cluster", "RequireDualStack", "Error", "Json", "AlwaysAllow", f"sha256:{'f' * 64}",
    {"cpu": "3m"}, {"cpu": "9", "memory": "9Gi"}, {"other": "value"},
    "NotIn", "UDP", 60_000, "10.9.0.0/16", ["10.9.9.0/24"],
    "Binary", "Text",
    "other:1", ["other:1"], "9Gi", "Retain", "Standalone", "Follow", "0 3 * * *", "Rollback", "Service",
)  # fmt: skip
"""Values to change leaves to."""
HOOK: JsonObject = {"url": "http://backend/h", "timeout": "3s", "concurrency": 9}
DECIDING: JsonObject = {**HOOK, "whenDown": "Allow"}
CHANNEL: JsonObject = {**DECIDING, "namespaces": ["used"]}
SECRET: JsonObject = {"secretKeyRef": {"name": "redis", "key": "value"}}
NAMESPACE: JsonObject = {
    "name": "used", "history": {"size": 5, "ttl": "1m"}, "recovery": "Cache", "presence": True,
    "publish": "Subscribers", "subscribe": "Token", "presenceFor": "Anyone", "historyFor": "Anyone",
    "joinLeave": "Always", "delta": "Fossil", "personalChannel": "SingleConnection", "writeDelay": "5ms",
}  # fmt: skip
"""A namespace without slowConsumer, which these options exclude."""
PROTOCOLS: JsonObject = {
    "socketIO": {
        "mode": "Enabled", "path": "/live/", "namespaces": [{"name": "/used", "channelNamespace": "slow"}],
        "emitters": {
            "formats": ["RedisEmitter", "RedisStreams", "PythonSocketIO"], "key": "io", "stream": "io", "channel": "io",
        },
    },
    "webSocket": {
        "routes": [
            {
                "name": "orders", "subprotocols": ["orders.v1"], "envelope": "Json",
                "path": "/{desk}", "subscribe": ["used:{query.id}", "#{sub}"], "selection": "/action",
                "actions": [
                    {"key": "$default", "publish": {"channel": "used:{query.id}"}},
                    {"key": "$disconnect", "hook": {**HOOK, "queueSize": 5000}},
                    {"key": "quote", "hook": HOOK},
                ],
                "tokenCookie": "session", "limits": {"messageBytes": "8Ki", "messagesPerSecond": 9},
            },
            {"name": "telemetry", "format": "Binary", "subscribe": ["used:{sub}"]},
        ],
    },
}  # fmt: skip
MESSAGES: JsonObject = {
    "brokers": [
        {"name": "shop", "rabbitMQ": {"url": SECRET, "tls": {"ca": SECRET, "certificate": SECRET, "key": SECRET}}}
    ],
    "consumers": [
        {
            "broker": "shop", "queue": "orders", "prefetch": 9, "mapping": {"channel": "used:{routing_key.2}"},
            "deadLetter": {"exchange": "dead", "routingKey": "orders"},
            "retries": {"attempts": 9, "firstDelay": "3s", "maxDelay": "9s"},
        },
        {"broker": "shop", "queue": "all", "mapping": {"channelsHeader": "channels"}},
        {"broker": "shop", "queue": "commands", "mapping": {"commands": {"methods": ["Publish"]}}},
    ],
}  # fmt: skip
SELECTOR: JsonObject = {
    "matchLabels": {"app": "shop"}, "matchExpressions": [{"key": "team", "operator": "In", "values": ["chat"]}],
}  # fmt: skip
PEERS: list[JsonValue] = [
    {"podSelector": SELECTOR, "namespaceSelector": SELECTOR},
    {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
]
NETWORK_POLICY: JsonObject = {
    "mode": "Restricted", "clientFrom": PEERS, "apiFrom": PEERS, "adminFrom": PEERS,
    "egress": [{"to": PEERS, "ports": [{"protocol": "TCP", "port": 9000, "endPort": 9010}]}],
}  # fmt: skip


OWN: JsonObject = {"secretKeyRef": {"name": "private-authority", "key": "ca.crt"}}
CA: JsonObject = {"ca": OWN}
GIVEN: JsonObject = {"secretRef": {"name": "certificate"}}
ISSUED: JsonObject = {
    **GIVEN,
    "certificate": {
        "issuerRef": {"name": "private", "kind": "ClusterIssuer", "group": "cert-manager.io"},
        "dnsNames": ["chat.example.com"], "duration": "720h", "renewBefore": "240h",
    },
}  # fmt: skip
EXPOSED: JsonObject = {
    "service": {
        "type": "LoadBalancer", "annotations": {"a/b": "c"}, "port": 443, "nodePort": 30443,
        "loadBalancerClass": "example.com/internal", "loadBalancerSourceRanges": ["10.1.0.0/16"],
        "externalTrafficPolicy": "Local", "ipFamilyPolicy": "PreferDualStack", "ipFamilies": ["IPv6", "IPv4"],
    },
    "ingress": {
        "className": "public", "controller": "HAProxy", "annotations": {"a/b": "c"}, "hosts": ["chat.example.com"],
        "paths": ["/connection"], "tls": GIVEN,
    },
    "gateway": {
        "parentRefs": [{"name": "public", "namespace": "edge", "sectionName": "https", "port": 443}],
        "hostnames": ["chat.example.com"], "annotations": {"a/b": "c"},
    },
    "tls": GIVEN,
    "proxies": {"trusted": ["10.0.0.0/8"], "forwardedHeader": "Forwarded", "proxyProtocol": "Required"},
    "handshakeTimeout": "20s",
}  # fmt: skip
"""An endpoint with every field; certificates are in Secrets."""


def used_specs() -> list[JsonObject]:
    """Return specs that together have every field and, for every field, another value that others do not exclude."""
    everything = parse(json.dumps(yaml.safe_load(EVERYTHING.read_text())["spec"]))
    hooks: JsonObject = {
        **dict.fromkeys(("connect", "refresh"), DECIDING),
        **dict.fromkeys(("subscribe", "subRefresh", "publish"), CHANNEL),
        "rpc": HOOK,
        "events": {**HOOK, "types": ["Channels"], "queueSize": 5000},
    }
    recoverable: JsonObject = {"name": "recoverable", "history": {}, "recovery": "Stream"}
    namespaces: list[JsonValue] = [NAMESPACE, recoverable, {"name": "slow", "slowConsumer": "DropOldest"}]
    managed: JsonObject = {
        **everything, **MESSAGES, "namespaces": namespaces, "networkPolicy": NETWORK_POLICY, "protocols": PROTOCOLS,
        "hooks": {**object_at(everything, "hooks"), **hooks},
    }  # fmt: skip
    places: tuple[JsonObject, ...] = (
        {"url": SECRET},
        {
            "address": "redis:6379", "username": "ann", "password": SECRET, "database": 2,
            "tls": {"ca": SECRET, "certificate": SECRET, "key": SECRET},
        },
        {"sentinel": {"masterName": "main", "addresses": ["s:1"], "username": "ann", "password": SECRET}},
        {"cluster": {"addresses": ["n:1"], "partitions": 8}},
    )  # fmt: skip
    managed |= {
        "endpoint": EXPOSED,
        "api": {**object_at(everything, "api"), "tls": {**GIVEN, "clientCertificates": CA}},
    }
    managed["hooks"] = {**object_at(managed, "hooks"), "ca": OWN}
    managed["maintenance"] = {"windows": [{"schedule": "0 2 * * SUN", "timeZone": "Europe/Berlin", "duration": "4h"}]}
    issued: JsonObject = {
        "endpoint": {"tls": ISSUED, "ingress": {"tls": ISSUED}, "gateway": {"parentRefs": [{"name": "public"}]}},
        "api": {"tls": ISSUED},
        "backplane": {"redis": {"managed": {"tls": ISSUED}}},
    }
    routed: JsonObject = {
        "endpoint": {"gateway": {"parentRefs": [{"name": "public"}]}},
        "rollout": {"canary": {"steps": [{"share": "5%"}], "traffic": "Route"}},
    }
    return [
        _whole(managed),
        *(_whole({"backplane": {"redis": {"external": place}}}) for place in places),
        _whole({"disruptionBudget": {"minAvailable": 1}, "networkPolicy": {"mode": "Restricted"}}),
        _whole({"tracing": {"endpoint": "http://collector.observability.svc:4318"}}),
        _whole(_with_names(issued)),
        _whole(routed),
    ]


def _with_names(spec: JsonObject) -> JsonObject:
    """Return the spec with the host names that its certificates and routes need."""
    endpoint = object_at(spec, "endpoint")
    gateway: JsonObject = {**object_at(endpoint, "gateway"), "hostnames": ["chat.example.com"]}
    return {**spec, "endpoint": {**endpoint, "gateway": gateway}}


def _whole(spec: JsonObject) -> JsonObject:
    """Return the spec with every field, as after the API server's defaulting."""
    model = RealtimeClusterSpec.model_validate_json(json.dumps(spec))
    return parse(model.model_dump_json(by_alias=True, exclude_none=True))


def leaves(spec: JsonValue, model: type[Model] = RealtimeClusterSpec, path: Leaf = ()) -> Iterator[Leaf]:
    """Yield the leaves of a spec: fields that are neither models nor lists of models."""
    assert isinstance(spec, dict)
    for name, field in model.model_fields.items():
        here, inner, value = (*path, field.alias or name), _model_in(field.annotation), spec.get(field.alias or name)
        if value is None:
            continue
        if inner is None:
            yield here
        elif isinstance(value, list):
            for index, item in enumerate(value):
                yield from leaves(item, inner, (*here, index))
        else:
            yield from leaves(value, inner, here)


def model_leaves(model: type[Model] = RealtimeClusterSpec, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield the leaves of a model, without indexes."""
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        here = (*path, field.alias or name)
        yield from [here] if inner is None else model_leaves(inner, here)


def _model_in(annotation: object) -> type[Model] | None:
    if isinstance(annotation, type) and issubclass(annotation, Model):
        return annotation
    return next((found for part in getattr(annotation, "__args__", ()) if (found := _model_in(part))), None)


def changed(spec: JsonObject, leaf: Leaf) -> JsonObject | None:
    """Return the spec with another valid value at a leaf; None when other fields exclude every value."""
    field = tuple(part for part in leaf if isinstance(part, str))
    for other in (*_ACCEPTED.get(field, ()), *OTHERS):
        candidate = copy.deepcopy(spec)
        parent: JsonValue = candidate
        for part in leaf[:-1]:
            parent = parent[part]  # type: ignore[index] # the leaf is of this document
        assert isinstance(parent, dict)
        name = str(leaf[-1])
        if json.dumps(parent[name]) == json.dumps(other):
            continue
        parent[name] = other
        try:
            cluster_of(candidate)
        except InvalidCluster:
            continue
        _ACCEPTED[field] = (other,)
        return candidate
    return None


_ACCEPTED: dict[tuple[str, ...], tuple[JsonValue, ...]] = {}
"""For each field the value that was accepted last, which is tried first: most of the time it fits again."""
