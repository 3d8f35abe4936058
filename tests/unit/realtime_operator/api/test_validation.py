"""Tests of validation beyond the schema and its rules."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.api.errors import FindingReason
from realtime_operator.api.validation import is_qualified_name, validate, wrong_fields
from tests.kit.manifests import cluster_of

TOKENS: JsonObject = {"auth": {"tokens": [{"secretKeyRef": {"name": "tokens", "key": "current"}}]}}


def messages(spec: JsonObject) -> dict[str, str]:
    """Return the message of each finding by path, when no Secret exists."""
    return {finding.path: finding.message for finding in validate(cluster_of(spec), {})}


def test_a_secret_that_is_missing_is_named() -> None:
    """The message has advice."""
    (finding,) = validate(cluster_of(TOKENS), {"other": {"current": "hash"}})
    assert finding.path == "spec.auth.tokens[0].secretKeyRef"
    assert finding.reason is FindingReason.SECRET_NOT_FOUND
    assert (
        finding.message == "the Secret tokens does not exist in the cluster's namespace: create it with the key current"
    )


def test_a_key_that_is_missing_is_named() -> None:
    """The message has the existing keys."""
    (finding,) = validate(cluster_of(TOKENS), {"tokens": {"b": "hash", "a": "hash"}})
    assert finding.reason is FindingReason.SECRET_KEY_NOT_FOUND
    assert finding.message == "the Secret tokens has no key current; its keys are: a, b"


def test_nothing_is_found_when_everything_is_there() -> None:
    assert validate(cluster_of(TOKENS), {"tokens": {"current": "hash"}}) == ()
    assert validate(cluster_of(), {}) == ()


@pytest.mark.parametrize(
    ("pod", "path"),
    [
        ({"labels": {"a b": "c"}}, "spec.pod.labels"),
        ({"labels": {"a/b/c": "d"}}, "spec.pod.labels"),
        ({"labels": {"team": "no spaces"}}, "spec.pod.labels[team]"),
        ({"nodeSelector": {"disk": "-ssd"}}, "spec.pod.nodeSelector[disk]"),
        ({"annotations": {"-a": "anything goes here"}}, "spec.pod.annotations"),
        ({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}, "spec.pod.tolerations[0]"),
        ({"tolerations": [{}]}, "spec.pod.tolerations[0]"),
        ({"tolerations": [{"key": "a b"}]}, "spec.pod.tolerations[0]"),
        ({"tolerations": [{"key": "a", "tolerationSeconds": 5}]}, "spec.pod.tolerations[0]"),
    ],
)
def test_what_pods_would_be_refused_for_is_found(pod: JsonObject, path: str) -> None:
    """The ReplicaSet could not be applied or could not create pods, which only the log would report."""
    assert list(messages({"pod": pod})) == [path]


@pytest.mark.parametrize(
    "pod",
    [
        {"labels": {"example.com/team": "chat", "empty": ""}},
        {"annotations": {"example.com/note": "any text: even {}"}},
        {"tolerations": [{"operator": "Exists"}, {"key": "a", "value": "b", "effect": "NoSchedule"}]},
        {"tolerations": [{"key": "a", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 5}]},
    ],
)
def test_what_pods_may_have_is_not_found(pod: JsonObject) -> None:
    assert messages({"pod": pod}) == {}


@pytest.mark.parametrize(
    ("key", "expected"),
    [("a", True), ("example.com/a_b.c-d", True), ("/a", False), ("a/", False), ("A.b/c", False), ("a" * 64, False)],
)
def test_qualified_names(key: str, expected: bool) -> None:
    """The rule is Kubernetes' rule for keys of labels and annotations."""
    assert is_qualified_name(key) is expected


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ({"proxies": {"trusted": ["10.0.0.0/8", "10.0.0.1/8"]}}, "spec.endpoint.proxies.trusted[1]"),
        ({"proxies": {"trusted": ["10.0.0.0/33"]}}, "spec.endpoint.proxies.trusted[0]"),
        (
            {"service": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["fd00::1::/8"]}},
            "spec.endpoint.service.loadBalancerSourceRanges[0]",
        ),
        ({"ingress": {"annotations": {"-a": "b"}}}, "spec.endpoint.ingress.annotations"),
        (
            {"gateway": {"parentRefs": [{"name": "a"}], "annotations": {"-a": "b"}}},
            "spec.endpoint.gateway.annotations",
        ),
    ],
)
def test_what_servers_or_objects_would_be_refused_for_is_found(endpoint: JsonObject, path: str) -> None:
    """Networks with bits after the prefix, which servers refuse; keys of annotations."""
    assert list(messages({"endpoint": endpoint})) == [path]


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        ({"podMonitor": {"labels": {"a b": "c"}}}, "podMonitor.labels"),
        ({"prometheusRule": {"labels": {"release": "my prometheus"}}}, "prometheusRule.labels[release]"),
        ({"dashboard": {"labels": {"a b": "c"}}}, "dashboard.labels"),
        ({"dashboard": {"annotations": {"-a": "b"}}}, "dashboard.annotations"),
    ],
)
def test_what_monitoring_objects_would_be_refused_for_is_found(spec: JsonObject, path: str) -> None:
    """Otherwise the API server refuses the object after the rest was applied."""
    assert list(messages({"monitoring": spec})) == [f"spec.monitoring.{path}"]


def selected_by(selector: JsonObject) -> JsonObject:
    """Return a network policy with a selector of pods."""
    return {"clientFrom": [{"podSelector": selector}]}


def reached(cidr: str, *left_out: str) -> JsonObject:
    """Return a network policy with a range of addresses."""
    return {"egress": [{"to": [{"ipBlock": {"cidr": cidr, "except": list(left_out)}}]}]}


@pytest.mark.parametrize(
    ("policy", "path"),
    [
        (selected_by({"matchLabels": {"a b": "c"}}), "clientFrom[0].podSelector.matchLabels"),
        (selected_by({"matchLabels": {"app": "a b"}}), "clientFrom[0].podSelector.matchLabels[app]"),
        (
            selected_by({"matchExpressions": [{"key": "a b", "operator": "Exists"}]}),
            "clientFrom[0].podSelector.matchExpressions[0].key",
        ),
        (
            selected_by({"matchExpressions": [{"key": "a", "operator": "In", "values": ["-"]}]}),
            "clientFrom[0].podSelector.matchExpressions[0].values",
        ),
        (
            {"apiFrom": [{"namespaceSelector": {"matchLabels": {"a": "-"}}}]},
            "apiFrom[0].namespaceSelector.matchLabels[a]",
        ),
        (reached("10.0.0.0/33"), "egress[0].to[0].ipBlock.cidr"),
        (reached("10.0.0.0/8", "192.168.0.0/16"), "egress[0].to[0].ipBlock.except[0]"),
        (reached("10.0.0.0/8", "10.1.0.0/16", "10.0.0.0/8"), "egress[0].to[0].ipBlock.except[1]"),
        (reached("fd00::/8", "10.0.0.0/8"), "egress[0].to[0].ipBlock.except[0]"),
    ],
)
def test_what_network_policies_would_be_refused_for_is_found(policy: JsonObject, path: str) -> None:
    """Without its NetworkPolicies a cluster would be open to everybody."""
    assert list(messages({"networkPolicy": {"mode": "Restricted", **policy}})) == [f"spec.networkPolicy.{path}"]


@pytest.mark.parametrize("policy", [reached("10.0.0.1/8", "10.1.0.0/16"), reached("fd00::/8", "fd00:1::/32")])
def test_what_network_policies_may_have_is_not_found(policy: JsonObject) -> None:
    """Kubernetes takes bits after the prefix."""
    assert messages({"networkPolicy": {"mode": "Restricted", **policy}}) == {}


@pytest.mark.parametrize(
    ("managed", "limit"),
    [
        ({"persistence": {"size": "255Mi"}}, "256Mi"),
        ({"persistence": {"size": "1Gi"}, "resources": {"limits": {"memory": "1025Mi"}}}, "1025Mi"),
        ({"persistence": {"size": "256Mi"}}, None),
        ({"persistence": {"size": 536870912}, "resources": {"limits": {"memory": "512Mi"}}}, None),
        ({"resources": {"limits": {"memory": "1Gi"}}}, None),
    ],
)
def test_a_volume_that_the_memory_of_redis_does_not_fit_in_is_found(managed: JsonObject, limit: str | None) -> None:
    """The limit is the given one, or the default."""
    found = messages({"backplane": {"redis": {"managed": managed}}})
    path = "spec.backplane.redis.managed.persistence.size"
    assert set(found) == ({path} if limit else set())
    assert limit is None or f"is below the memory limit of Redis, {limit}: take about four times" in found[path]


@pytest.mark.parametrize(
    ("window", "path", "message"),
    [
        ({"schedule": "0 25 * * *"}, "schedule", "'0 25 * * *' is not a schedule (bad hour): write five fields"),
        ({"schedule": "0 2 30 2 *"}, "schedule", "'0 2 30 2 *'"),
        (
            {"timeZone": "Europe/Bonn"},
            "timeZone",
            "'Europe/Bonn' is not in the IANA database: write a name like Europe/Berlin or Etc/UTC",
        ),
        ({"timeZone": "localtime"}, "timeZone", "'localtime' is not in the IANA database"),
    ],
)
def test_windows_that_never_open_are_found(window: JsonObject, path: str, message: str) -> None:
    """A field out of its range, a day that no month has, and a time zone that does not exist."""
    valid: JsonObject = {"schedule": "0 2 * * SUN", "timeZone": "Europe/Berlin", "duration": "4h"}
    (finding,) = wrong_fields(cluster_of({"maintenance": {"windows": [valid, {**valid, **window}]}}))
    assert finding.path == f"spec.maintenance.windows[1].{path}"
    assert finding.message.startswith(message)


@pytest.mark.parametrize(
    ("fields", "path", "message"),
    [
        ({"path": "/{a}/{a}"}, "path", "has a placeholder twice; give each its own name"),
        (
            {"path": "/{room}", "subscribe": ["{path.room}", "{path.desk}"]},
            "subscribe[1]",
            "{path.desk} is not in the path of the route; add /{desk} to spec.protocols.webSocket.routes[0].path",
        ),
        ({"subscribe": ["other:a"]}, "subscribe[0]", "there is no namespace other; add it to spec.namespaces"),
        ({"tokenCookie": "session"}, "tokenCookie", "needs spec.server.origins: browsers send a cookie for pages"),
    ],
)
def test_what_servers_would_refuse_in_routes_is_found(fields: JsonObject, path: str, message: str) -> None:
    """They would not start."""
    route: JsonObject = {"name": "rooms", "subscribe": ["a"], **fields}
    (finding,) = wrong_fields(cluster_of({"protocols": {"webSocket": {"routes": [route]}}}))
    assert finding.path == f"spec.protocols.webSocket.routes[0].{path}"
    assert finding.message.startswith(message)


@pytest.mark.parametrize(
    ("consumers", "path", "message"),
    [
        ([{}], None, ""),
        ([{"mapping": {"channel": "default:{routing_key}"}}], None, ""),
        ([{"mapping": {"channelsHeader": "channels"}}], None, ""),
        ([{}, {"queue": "other"}], None, ""),
        ([{"broker": "other"}], "[0].broker", "there is no broker other; add it to spec.brokers"),
        ([{}, {}], "[1].queue", "the queue orders of shop has a consumer already: remove one of them"),
        (
            [{"mapping": {"channel": "other:{routing_key}"}}],
            "[0].mapping.channel",
            "there is no namespace other; add it to spec.namespaces",
        ),
    ],
)
def test_consumers_that_servers_would_refuse_are_found(
    consumers: list[JsonObject], path: str | None, message: str
) -> None:
    """Servers would not start."""
    broker: JsonObject = {"name": "shop", "rabbitMQ": {"url": {"secretKeyRef": {"name": "rabbitmq", "key": "url"}}}}
    valid: JsonObject = {"broker": "shop", "queue": "orders", "mapping": {"channel": "orders:{routing_key}"}}
    spec: JsonObject = {
        "namespaces": [{"name": "orders"}],
        "brokers": [broker],
        "consumers": [{**valid, **consumer} for consumer in consumers],
    }
    expected = {} if path is None else {f"spec.consumers{path}": message}
    assert {finding.path: finding.message for finding in wrong_fields(cluster_of(spec))} == expected
