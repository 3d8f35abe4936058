"""What the chart renders, read from the golden manifests."""

from __future__ import annotations

import json
import re

import pytest

from realtime_operator.api.base import JsonObject
from realtime_operator.builders.manifest import short_hash
from realtime_operator.monitoring import build_dashboard, operator_alerts, rule_group
from realtime_operator.platforms.kubernetes.permissions import WEBHOOK
from tests.kit.chart import GOLDEN_NAMES, chart_file, golden, golden_text
from tests.kit.document import dig, object_at, objects_at, text_at

both = pytest.mark.parametrize("name", GOLDEN_NAMES)


def of_kind(name: str, *kinds: str) -> list[JsonObject]:
    """The rendered manifests of some kinds."""
    return [manifest for manifest in golden(name) if text_at(manifest, "kind") in kinds]


def pod_of(name: str) -> JsonObject:
    """The pod's specification in the rendered Deployment."""
    return object_at(of_kind(name, "Deployment")[0], "spec", "template", "spec")


def environment_of(name: str) -> dict[str, str]:
    """The fixed environment variables of the operator's container."""
    container = objects_at(pod_of(name), "containers")[0]
    return {text_at(item, "name"): text_at(item, "value") for item in objects_at(container, "env")}


@both
def test_pod_passes_the_restricted_profile(name: str) -> None:
    """The pod is what the restricted Pod Security profile asks for, with a read-only root."""
    pod = pod_of(name)
    assert dig(pod, "securityContext", "runAsNonRoot") is True
    assert dig(pod, "securityContext", "seccompProfile", "type") == "RuntimeDefault"
    for container in objects_at(pod, "containers"):
        security = object_at(container, "securityContext")
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert dig(security, "capabilities", "drop") == ["ALL"]
    assert all(set(volume) == {"name", "emptyDir"} for volume in objects_at(pod, "volumes"))


@both
def test_no_rule_has_a_wildcard(name: str) -> None:
    """Not one rule of any role has a wildcard."""
    for role in of_kind(name, "Role", "ClusterRole"):
        assert "*" not in json.dumps(role["rules"])


def test_cluster_wide_rules_are_the_permissions() -> None:
    """Watching everything takes one ClusterRole with exactly the permissions of the scope `clusters`."""
    roles = {text_at(role, "metadata", "name"): role["rules"] for role in of_kind("cluster-wide", "ClusterRole")}
    assert roles["realtime-operator"] == chart_file("files/permissions.yaml")["clusters"]
    assert set(roles) == {"realtime-operator", "realtime-operator-view", "realtime-operator-edit"}


def test_namespaced_rules_are_the_permissions() -> None:
    """Watching some namespaces takes one Role in each, and no binding of the whole cluster."""
    roles = {
        text_at(role, "metadata", "namespace"): role["rules"]
        for role in of_kind("namespaced", "Role")
        if text_at(role, "metadata", "name") == "realtime-operator"
    }
    assert roles == dict.fromkeys(("team-a", "team-b"), chart_file("files/permissions.yaml")["clusters"])
    assert of_kind("namespaced", "ClusterRoleBinding") == []


@both
def test_the_lease_is_in_the_namespace_of_the_release(name: str) -> None:
    """Leases may be written in the release's namespace and nowhere else."""
    holders = [role for role in of_kind(name, "Role", "ClusterRole") if "leases" in json.dumps(role["rules"])]
    assert [text_at(role, "metadata", "namespace") for role in holders] == ["realtime-system"]


@both
def test_every_binding_has_its_role_and_the_account(name: str) -> None:
    """Bindings refer to roles that are rendered, and to the ServiceAccount of the pods."""
    roles = {
        (text_at(role, "kind"), text_at(role, "metadata", "namespace"), text_at(role, "metadata", "name"))
        for role in of_kind(name, "Role", "ClusterRole")
    }
    account = {"kind": "ServiceAccount", "name": pod_of(name)["serviceAccountName"], "namespace": "realtime-system"}
    for binding in of_kind(name, "RoleBinding", "ClusterRoleBinding"):
        kind = text_at(binding, "roleRef", "kind")
        assert (kind, text_at(binding, "metadata", "namespace"), text_at(binding, "roleRef", "name")) in roles
        assert binding["subjects"] == [account]


@both
def test_account_is_rendered(name: str) -> None:
    """The pods' ServiceAccount is made by the chart, and gives its token only to who asks for it."""
    (account,) = of_kind(name, "ServiceAccount")
    assert text_at(account, "metadata", "name") == pod_of(name)["serviceAccountName"]
    assert account["automountServiceAccountToken"] is False


@both
def test_services_and_budgets_select_the_pods(name: str) -> None:
    """Service, disruption budget and monitors select the labels that the pods have."""
    labels = object_at(of_kind(name, "Deployment")[0], "spec", "template", "metadata", "labels")
    selectors = [object_at(service, "spec", "selector") for service in of_kind(name, "Service")]
    selectors += [
        object_at(manifest, "spec", "selector", "matchLabels")
        for manifest in of_kind(name, "Deployment", "PodDisruptionBudget", "PodMonitor")
    ]
    assert all(selector and selector.items() <= labels.items() for selector in selectors)


def test_values_reach_the_environment() -> None:
    """Namespaces, images, timings and logging are given to the operator."""
    environment = environment_of("namespaced")
    assert environment["REALTIME_OPERATOR_WATCH_NAMESPACES"] == "team-a,team-b"
    assert environment["REALTIME_OPERATOR_SERVER_IMAGE"].startswith("registry.example.com/server@sha256:")
    assert environment["REALTIME_OPERATOR_REDIS_IMAGE"] == "registry.example.com/redis:7.4"
    assert environment["REALTIME_OPERATOR_LEASE_DURATION_SECONDS"] == "30"
    assert environment["REALTIME_OPERATOR_POLL_SECONDS"] == "0.5"
    assert environment["REALTIME_OPERATOR_LOG_LEVEL"] == "debug"
    assert environment["HTTPS_PROXY"] == "http://proxy.example.com:3128"


@both
def test_operator_is_never_missing_during_its_own_update(name: str) -> None:
    """The new pod is there before the old one goes; the Lease decides who works."""
    strategy = object_at(of_kind(name, "Deployment")[0], "spec", "strategy", "rollingUpdate")
    assert strategy == {"maxSurge": 1, "maxUnavailable": 0}


@both
def test_golden_files_say_how_they_are_made(name: str) -> None:
    """A golden file begins with the command that writes it."""
    assert "python -m tests.kit.chart" in golden_text(name).splitlines()[0]


def test_one_namespace_takes_nothing_outside_of_it() -> None:
    """Whoever may only write in the namespace can install the operator there, beside a CRD that is there already."""
    for manifest in golden("one-namespace"):
        assert text_at(manifest, "metadata", "namespace") == "realtime-system", text_at(manifest, "kind")
        assert not text_at(manifest, "kind").startswith("Cluster")


@both
def test_the_test_pod_is_behind_no_service(name: str) -> None:
    """It has none of the labels by which the operator's pods are selected."""
    (pod,) = of_kind(name, "Pod")
    labels = object_at(pod, "metadata", "labels")
    for service in of_kind(name, "Service"):
        assert not object_at(service, "spec", "selector").items() <= labels.items()


def test_monitors_keep_the_labels_of_clusters() -> None:
    """Otherwise Prometheus replaces the namespace of a cluster by that of the operator."""
    (pod_monitor,) = of_kind("namespaced", "PodMonitor")
    (service_monitor,) = of_kind("namespaced", "ServiceMonitor")
    scrapes = [
        *objects_at(pod_monitor, "spec", "podMetricsEndpoints"),
        *objects_at(service_monitor, "spec", "endpoints"),
    ]
    assert [scrape.get("honorLabels") for scrape in scrapes] == [True, True]


def test_the_operators_rules_and_dashboard_are_the_generated_ones() -> None:
    """Templates of alerts are for Prometheus, and reach it unchanged."""
    (rule,) = of_kind("namespaced", "PrometheusRule")
    group = rule_group("realtime-operator", operator_alerts())
    assert rule["spec"] == {"groups": [group]}
    dashboards = [
        m for m in of_kind("namespaced", "ConfigMap") if text_at(m, "metadata", "name").endswith("-dashboard")
    ]
    (text,) = object_at(dashboards[0], "data").values()
    assert json.loads(str(text)) == build_dashboard("realtime-operator", "Realtime")
    assert of_kind("cluster-wide", "PrometheusRule", "ConfigMap") == []


def test_the_webhook_reviews_evictions_of_servers_and_fails_open() -> None:
    """Nothing but evictions of pods whose name may be that of a server is sent to it."""
    (configuration,) = of_kind("webhook", "ValidatingWebhookConfiguration")
    (webhook,) = objects_at(configuration, "webhooks")
    (rule,) = objects_at(webhook, "rules")
    assert (rule["resources"], rule["operations"]) == (["pods/eviction"], ["CREATE"])
    assert (webhook["failurePolicy"], webhook["sideEffects"]) == ("Ignore", "NoneOnDryRun")
    assert not {"path"} & set(object_at(webhook, "clientConfig", "service")), "the operator's alone"
    (condition,) = objects_at(webhook, "matchConditions")
    pattern = re.fullmatch(r"request\.name\.matches\('(.*)'\)", str(condition["expression"]))
    assert pattern is not None
    server = f"main-{short_hash({'any': 'revision'})}-x7k2p"
    assert re.search(pattern[1], server)
    assert not any(re.search(pattern[1], name) for name in ("main-redis-0", "web-5d4f8c7b9d-x7k2p", "proxy-x7k2p"))


def test_the_webhooks_names_agree() -> None:
    """Service, Secret, configuration and setting have one name, and the port of the pods is the Service's target."""
    name = environment_of("webhook")["REALTIME_OPERATOR_WEBHOOK_NAME"]
    for kind in ("Service", "Secret", "ValidatingWebhookConfiguration"):
        assert name in {text_at(manifest, "metadata", "name") for manifest in of_kind("webhook", kind)}
    ports = {
        port["name"]: port["containerPort"]
        for port in objects_at(objects_at(pod_of("webhook"), "containers")[0], "ports")
    }
    assert str(ports["webhook"]) == environment_of("webhook")["REALTIME_OPERATOR_WEBHOOK_PORT"] == "9443"
    for others in ("cluster-wide", "namespaced", "one-namespace"):
        assert of_kind(others, "ValidatingWebhookConfiguration", "Secret") == []
        assert environment_of(others)["REALTIME_OPERATOR_WEBHOOK_NAME"] == ""


def test_the_webhooks_role_is_about_its_configuration_alone() -> None:
    """It may read and patch one object by its name."""
    roles = {text_at(role, "metadata", "name"): objects_at(role, "rules") for role in of_kind("webhook", "ClusterRole")}
    (rule,) = roles["realtime-operator-webhook"]
    assert rule["resourceNames"] == ["realtime-operator-webhook"]
    assert {**rule, "resourceNames": []} == {**WEBHOOK[0].rule(), "resourceNames": []}


def test_a_network_policy_lets_api_servers_reach_the_webhook() -> None:
    """From `networkPolicy.apiServerFrom`, by the name of the port."""
    (policy,) = of_kind("webhook", "NetworkPolicy")
    rules = [rule for rule in objects_at(policy, "spec", "ingress") if "webhook" in json.dumps(rule["ports"])]
    assert [rule["from"] for rule in rules] == [[{"ipBlock": {"cidr": "10.0.0.1/32"}}]]
