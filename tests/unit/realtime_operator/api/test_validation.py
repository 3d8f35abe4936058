"""Tests of validation beyond the schema and its rules."""

from __future__ import annotations

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.api.errors import FindingReason
from realtime_operator.api.validation import is_qualified_name, validate
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
