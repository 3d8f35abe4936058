"""Kinds that are defined by CustomResourceDefinitions of other projects, so that a cluster may not serve them.

A kind that is not served, or that the operator may not watch, is neither watched nor written; a spec that asks for it
is reported, and all else is done. To add a kind: an entry here, a rule in platforms/kubernetes/permissions.py, and a
builder.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from realtime_operator import naming
from realtime_operator.api.base import JsonObject

Kind = tuple[str, str]
"""apiVersion and kind."""


@dataclass(frozen=True, slots=True)
class OptionalKind:
    """A kind of another project. `field` is the part of the spec that asks for it, `project` what installs its CRD."""

    api_version: str
    kind: str
    plural: str
    field: str
    project: str

    @property
    def key(self) -> Kind:
        """Return apiVersion and kind."""
        return self.api_version, self.kind

    @property
    def group(self) -> str:
        """Return the API group."""
        return self.api_version.partition("/")[0]

    @property
    def unserved(self) -> str:
        """Return the message for a cluster that asks for the kind where it is not served."""
        version = self.api_version.partition("/")[2]
        return (
            f"{self.field} needs a {self.kind} in version {version}, which this Kubernetes does not serve: install the "
            f"CRD {self.plural}.{self.group} ({self.project}), or remove the field"
        )

    def withheld(self, rights: str) -> str:
        """Return the message for a cluster that asks for the kind where the operator lacks rights (verbs, place)."""
        return (
            f"{self.field} needs a {self.kind}, which the operator has no right to {rights}: give its role all verbs "
            f"that the chart's has for {self.plural}.{self.group}, or remove the field"
        )


OPTIONAL_KINDS = (
    OptionalKind(
        "gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", "spec.endpoint.gateway", "Gateway API 1.0 or later"
    ),
    OptionalKind(
        "gateway.networking.k8s.io/v1", "TLSRoute", "tlsroutes", "spec.endpoint.gateway", "Gateway API 1.5 or later"
    ),
    OptionalKind(
        "cert-manager.io/v1",
        "Certificate",
        "certificates",
        "the field `certificate`",
        "cert-manager 1.0 or later",
    ),
    OptionalKind(
        naming.MONITORING_API_VERSION, "PodMonitor", "podmonitors", "spec.monitoring.podMonitor", "Prometheus operator"
    ),
    OptionalKind(
        naming.MONITORING_API_VERSION,
        "PrometheusRule",
        "prometheusrules",
        "spec.monitoring.prometheusRule",
        "Prometheus operator",
    ),
)
"""All of them; other kinds are part of Kubernetes, or the operator's own."""


def is_served(manifest: JsonObject, unserved: Collection[Kind]) -> bool:
    """Return True when the manifest can be applied where the kinds `unserved` are missing."""
    return (manifest["apiVersion"], manifest["kind"]) not in unserved


def missing_kinds(
    manifests: Iterable[JsonObject], unserved: Collection[Kind], withheld: Mapping[Kind, str]
) -> tuple[str, ...]:
    """Return a message for each kind that the manifests need and that is not served.

    `withheld` are those of `unserved` that the operator may not watch, with the rights that it lacks.
    """
    wanted = {(manifest["apiVersion"], manifest["kind"]) for manifest in manifests}
    missing = [kind for kind in OPTIONAL_KINDS if kind.key in wanted and kind.key in unserved]
    return tuple(kind.withheld(withheld[kind.key]) if kind.key in withheld else kind.unserved for kind in missing)
