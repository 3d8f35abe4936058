"""The operator's permissions, each with its reason: exactly those that it needs. The chart has the same rules."""

from __future__ import annotations

from dataclasses import dataclass

READ = ("get", "list", "watch")
WRITE = ("create", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Permission:
    """One rule of a role, with the reason for it."""

    group: str
    resources: tuple[str, ...]
    verbs: tuple[str, ...]
    reason: str

    def rule(self) -> dict[str, list[str]]:
        """Return the rule in the format of a Role."""
        return {"apiGroups": [self.group], "resources": list(self.resources), "verbs": list(self.verbs)}


CLUSTERS = (
    Permission("realtime.dev", ("realtimeclusters",), READ, "what is wanted"),
    Permission("realtime.dev", ("realtimeclusters/status",), ("patch",), "what is told"),
    Permission("", ("configmaps", "serviceaccounts", "services"), (*READ, *WRITE), "children"),
    Permission("", ("secrets",), ("get", *WRITE), "children and referred ones, by name: never listed or watched"),
    Permission(
        "",
        ("pods",),
        (*READ, *WRITE),
        "servers: quiesce, deletion cost, replace failed ones; a changed Redis is tried in a pod",
    ),
    Permission(
        "", ("persistentvolumeclaims",), (*READ, "patch"), "volumes of Redis, which its StatefulSet claims: expanded"
    ),
    Permission("", ("events",), ("get", "create", "patch"), "what has changed; the same again counts up"),
    Permission("apps", ("replicasets", "statefulsets"), (*READ, *WRITE), "one per revision; the managed Redis"),
    Permission("networking.k8s.io", ("ingresses",), (*READ, *WRITE), "the endpoint behind an Ingress controller"),
    Permission(
        "gateway.networking.k8s.io",
        ("httproutes", "tlsroutes"),
        (*READ, *WRITE),
        "the endpoint behind a Gateway; watched where the Gateway API is installed",
    ),
    Permission(
        "cert-manager.io",
        ("certificates",),
        (*READ, *WRITE),
        "the endpoint's certificate; watched where cert-manager is installed",
    ),
    Permission(
        "monitoring.coreos.com",
        ("podmonitors", "prometheusrules"),
        (*READ, *WRITE),
        "scrapes and alerts; watched where the Prometheus operator is installed",
    ),
    Permission("policy", ("poddisruptionbudgets",), (*READ, *WRITE), "one per cluster"),
    Permission("networking.k8s.io", ("networkpolicies",), (*READ, *WRITE), "of servers and Redis, with networkPolicy"),
)
"""Rules for every watched namespace."""

LEADER_ELECTION = (Permission("coordination.k8s.io", ("leases",), ("get", "create", "update"), "one leads at a time"),)
"""Rules for the operator's own namespace."""

WEBHOOK = (
    Permission(
        "admissionregistration.k8s.io",
        ("validatingwebhookconfigurations",),
        ("get", "patch"),
        "the webhook's path and certificate authority, in its own configuration: the chart adds the name",
    ),
)
"""Rules for the webhook of evictions, of one object by its name."""
