"""The ServiceAccount of a Prometheus that runs as a process of this machine, with the rights that the guide names."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from realtime_operator.api.base import JsonObject, JsonValue
from tests.kit.document import dig, objects_at, parse, text_at
from tests.kit.kube import Kube

NAME = "prometheus"
RULES: list[JsonValue] = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list", "watch"]}]
"""What docs/guides/monitor.md says that Prometheus needs."""
ENDPOINTS: list[JsonValue] = [
    {"apiGroups": [""], "resources": ["services", "endpoints"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["get", "list", "watch"]},
]
"""What a ServiceMonitor needs besides."""


async def minified(kube: Kube) -> JsonObject:
    """Return the kubeconfig that the test uses, with its certificates in it."""
    return parse(await kube.kubectl("config", "view", "--raw", "--minify", "--flatten", "-o", "json"))


async def kubeconfig_of_prometheus(kube: Kube, folder: Path, *, endpoints: bool = False) -> Path:
    """Create the account in all namespaces, and return a kubeconfig with a token of it. Call `remove` at the end."""
    group = "rbac.authorization.k8s.io"
    name = cluster_role(kube)
    await kube.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": NAME, "namespace": kube.namespace}},
        {
            "apiVersion": f"{group}/v1", "kind": "ClusterRole", "metadata": {"name": name},
            "rules": [*RULES, *(ENDPOINTS if endpoints else [])],
        },
        {
            "apiVersion": f"{group}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
            "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": NAME, "namespace": kube.namespace}],
        },
    )  # fmt: skip
    token = (await kube.kubectl("create", "token", NAME, "--namespace", kube.namespace)).strip()
    own = await minified(kube)
    (cluster,) = objects_at(own, "clusters")
    document: JsonObject = {
        "apiVersion": "v1", "kind": "Config", "current-context": NAME,
        "clusters": [{"name": NAME, "cluster": dig(cluster, "cluster")}],
        "users": [{"name": NAME, "user": {"token": token}}],
        "contexts": [{"name": NAME, "context": {"cluster": NAME, "user": NAME}}],
    }  # fmt: skip
    path = folder / "prometheus.kubeconfig"
    path.write_text(json.dumps(document))
    return path


async def remove(kube: Kube) -> None:
    """Remove what has no namespace."""
    for kind in ("clusterrolebinding", "clusterrole"):
        await kube.kubectl("delete", kind, cluster_role(kube), "--ignore-not-found")


def cluster_role(kube: Kube) -> str:
    """Return the name of the role."""
    return f"prometheus-of-{kube.namespace}"


def read_yaml(text: str) -> JsonObject:
    """Parse a configuration of Prometheus."""
    return parse(json.dumps(yaml.safe_load(text)))


def from_outside(configuration: JsonObject, kubeconfig: Path) -> JsonObject:
    """Return a configuration whose jobs discover pods with a kubeconfig, instead of from within a pod."""
    jobs: list[JsonValue] = []
    for job in objects_at(configuration, "scrape_configs"):
        found: list[JsonValue] = [
            {**discovery, "kubeconfig_file": str(kubeconfig)} for discovery in objects_at(job, "kubernetes_sd_configs")
        ]
        assert found, text_at(job, "job_name")
        jobs.append({**job, "kubernetes_sd_configs": found})
    return {**configuration, "scrape_configs": jobs}
