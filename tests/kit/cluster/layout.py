"""Names, paths and addresses of a test cluster, derived from its name and number: several can run at once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

KUBERNETES_VERSIONS = {"1.34": "v1.34.4", "1.37": "v1.37.2"}
"""Versions of Kubernetes that the tests run on, by their minor version; each has a module in `hack`."""
OLDEST_KUBERNETES = "1.34"
"""Version for all tests that are not told another one."""
CONTAINERD_VERSION = "v2.4.2"
"""Container runtime of the versions whose kubelet needs another one than the distribution's."""
HELM_VERSION = "v3.22.0"
COREDNS_VERSION = "v1.14.2"
KUBE_ROUTER_VERSION = "v2.1.0"
REGISTRY_VERSION = "v3.0.0"
REPOSITORY = Path(__file__).parents[3]

OPERATOR_IMAGE = "localhost/realtime-operator:e2e"
SERVER_IMAGE = "localhost/realtime-server:e2e"
REDIS_IMAGE = "localhost/realtime-redis:e2e"
PAUSE_IMAGE = "registry.k8s.io/pause:3.9"


def cache_folder() -> Path:
    """Return the cache folder of built programs and images; REALTIME_OPERATOR_CACHE overrides it."""
    given = os.environ.get("REALTIME_OPERATOR_CACHE")
    return Path(given) if given else Path.home() / ".cache" / "realtime-operator"


@dataclass(frozen=True, slots=True)
class Layout:
    """One test cluster. `number` (0 to 9) selects its address ranges, 10.(100+3n).0.0 and the following two.

    `kubernetes` is one of KUBERNETES_VERSIONS.
    """

    name: str = "realtime-e2e"
    number: int = 4
    kubernetes: str = OLDEST_KUBERNETES

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Layout:
        """Return the cluster that the variables E2E_CLUSTER and KUBERNETES name.

        A cluster of another version has another name and other addresses by default. Raises ValueError for a version
        that there is no module for.
        """
        given = os.environ if environ is None else environ
        minor = given.get("KUBERNETES") or OLDEST_KUBERNETES
        if minor not in KUBERNETES_VERSIONS:
            raise ValueError(f"KUBERNETES={minor}: there are {', '.join(KUBERNETES_VERSIONS)}")
        own = cls() if minor == OLDEST_KUBERNETES else cls(f"{cls().name}-{minor}", cls().number + 1, minor)
        return replace(own, name=given.get("E2E_CLUSTER") or own.name)

    @property
    def cache(self) -> Path:
        """Cache of programs and images, shared by all clusters."""
        return cache_folder()

    @property
    def programs(self) -> Path:
        """Folder of the built Kubernetes programs."""
        return self.cache / "bin" / f"kubernetes-{self.kubernetes_version}"

    @property
    def kubernetes_version(self) -> str:
        """Version of Kubernetes, as its programs report it."""
        return KUBERNETES_VERSIONS[self.kubernetes]

    @property
    def containerd(self) -> Path | None:
        """Folder of the built container runtime; None where the distribution's suffices."""
        built = self.cache / "bin" / f"containerd-{CONTAINERD_VERSION}"
        return None if self.kubernetes == OLDEST_KUBERNETES else built

    @property
    def helm(self) -> Path:
        """Path of the built helm."""
        return self.cache / "bin" / f"helm-{HELM_VERSION}" / "helm"

    @property
    def coredns(self) -> Path:
        """Path of the built CoreDNS."""
        return self.cache / "bin" / f"coredns-{COREDNS_VERSION}" / "coredns"

    @property
    def kube_router(self) -> Path:
        """Path of the built kube-router, whose controller enforces NetworkPolicies."""
        return self.cache / "bin" / f"kube-router-{KUBE_ROUTER_VERSION}" / "kube-router"

    @property
    def registry(self) -> Path:
        """Path of the built OCI registry, which the chart is pushed to."""
        return self.cache / "bin" / f"registry-{REGISTRY_VERSION}" / "registry"

    @property
    def state(self) -> Path:
        """Folder of process ids, sockets, certificates and logs; `down` removes all but the logs."""
        return Path("/run") / self.name

    @property
    def disk(self) -> Path:
        """Folder of large files: containerd's store (kept), etcd's data and the kubelet's folder (removed)."""
        return self.cache / "clusters" / self.name

    @property
    def logs(self) -> Path:
        """Folder of logs, one for each component."""
        return self.disk / "log"

    @property
    def kubeconfig(self) -> Path:
        """Kubeconfig of the administrator."""
        return self.state / "pki" / "admin.kubeconfig"

    @property
    def audit_log(self) -> Path:
        """Audit log: a line of JSON for each writing request."""
        return self.logs / "audit.log"

    @property
    def containerd_socket(self) -> Path:
        """Socket of the cluster's own containerd."""
        return self.state / "containerd.sock"

    @property
    def _base(self) -> int:
        return 100 + 3 * self.number

    @property
    def node_address(self) -> str:
        """IP address of the node, the API server and the DNS server."""
        return f"10.{self._base}.0.1"

    @property
    def pod_range(self) -> str:
        """Address range of pods."""
        return f"10.{self._base + 1}.0.0/24"

    @property
    def service_range(self) -> str:
        """Address range of Services."""
        return f"10.{self._base + 2}.0.0/24"

    @property
    def kubernetes_service(self) -> str:
        """IP address of the Service `kubernetes`."""
        return f"10.{self._base + 2}.0.1"
