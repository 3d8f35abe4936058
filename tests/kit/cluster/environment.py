"""Environment of end-to-end tests: the cluster, programs and images to use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class EnvironmentMissingError(Exception):
    """A variable is not set; the message names it and its purpose."""


@dataclass(frozen=True, slots=True)
class Environment:
    """The cluster under test.

    `audit_log` is None on a cluster whose audit log cannot be read from here, `kube_router` on one that enforces
    NetworkPolicies by itself.
    """

    kubectl: Path
    helm: Path
    kubeconfig: Path
    operator_image: str
    server_image: str
    redis_image: str
    exporter_image: str
    earlier_operator_image: str
    earlier_server_image: str
    audit_log: Path | None
    kube_router: Path | None = None
    registry: Path = Path("registry")

    @classmethod
    def from_environ(cls, environ: Mapping[str, str] | None = None) -> Environment:
        """Read KUBECONFIG, OPERATOR_IMAGE, SERVER_IMAGE, REDIS_IMAGE, and what is set of E2E_KUBECTL and the like."""
        given = os.environ if environ is None else environ

        def wanted(name: str, purpose: str) -> str:
            value = given.get(name)
            if not value:
                raise EnvironmentMissingError(f"{name} is not set: it names {purpose}; `make e2e` sets it")
            return value

        audit_log, kube_router = given.get("E2E_AUDIT_LOG"), given.get("E2E_KUBE_ROUTER")
        return cls(
            kubectl=Path(given.get("E2E_KUBECTL", "kubectl")),
            helm=Path(given.get("E2E_HELM", "helm")),
            kubeconfig=Path(wanted("KUBECONFIG", "the credentials of the cluster")),
            operator_image=wanted("OPERATOR_IMAGE", "the operator's image, as the cluster's nodes can get it"),
            server_image=wanted("SERVER_IMAGE", "the server's image, as the cluster's nodes can get it"),
            redis_image=wanted("REDIS_IMAGE", "an image with redis-server, as the cluster's nodes can get it"),
            exporter_image=wanted("EXPORTER_IMAGE", "an image of redis_exporter"),
            earlier_operator_image=wanted("EARLIER_OPERATOR_IMAGE", "the operator's image that an upgrade starts from"),
            earlier_server_image=wanted("EARLIER_SERVER_IMAGE", "the server's image that an upgrade starts from"),
            audit_log=Path(audit_log) if audit_log else None,
            kube_router=Path(kube_router) if kube_router else None,
            registry=Path(given.get("E2E_REGISTRY", "registry")),
        )

    def to_environ(self) -> dict[str, str]:
        """Return the environment variables: the inverse of `from_environ`."""
        return {
            "E2E_KUBECTL": str(self.kubectl),
            "E2E_HELM": str(self.helm),
            "E2E_REGISTRY": str(self.registry),
            "KUBECONFIG": str(self.kubeconfig),
            "OPERATOR_IMAGE": self.operator_image,
            "SERVER_IMAGE": self.server_image,
            "REDIS_IMAGE": self.redis_image,
            "EXPORTER_IMAGE": self.exporter_image,
            "EARLIER_OPERATOR_IMAGE": self.earlier_operator_image,
            "EARLIER_SERVER_IMAGE": self.earlier_server_image,
            **({"E2E_AUDIT_LOG": str(self.audit_log)} if self.audit_log else {}),
            **({"E2E_KUBE_ROUTER": str(self.kube_router)} if self.kube_router else {}),
        }
