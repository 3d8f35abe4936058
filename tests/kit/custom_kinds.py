"""CustomResourceDefinitions of other projects' kinds, for tests of clusters with and without them.

The schemas accept everything: the projects' own are tested by the projects.
"""

from __future__ import annotations

from realtime_operator.api.base import JsonObject
from realtime_operator.builders.optional_kinds import OptionalKind

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


def crd_name(kind: OptionalKind) -> str:
    """Return the name of the CRD that defines a kind."""
    return f"{kind.plural}.{kind.api_version.partition('/')[0]}"


def open_crd(kind: OptionalKind) -> JsonObject:
    """Return a CRD of a kind with a schema that accepts everything."""
    group, _, version = kind.api_version.partition("/")
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": crd_name(kind),
            # Groups under k8s.io are protected: https://github.com/kubernetes/enhancements/pull/1111
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests"},
        },
        "spec": {
            "group": group,
            "names": {"kind": kind.kind, "plural": kind.plural, "singular": kind.kind.lower()},
            "scope": "Namespaced",
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    },
                }
            ],
        },
    }
