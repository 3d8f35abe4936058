"""CustomResourceDefinitions of other projects' kinds, for tests of clusters with and without them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import yaml

from realtime_operator.api.base import JsonObject
from realtime_operator.builders.optional_kinds import OptionalKind
from tests.kit.cluster.layout import REPOSITORY, Layout
from tests.kit.cluster.programs import find_go
from tests.kit.document import parse, text_at

GATEWAY = REPOSITORY / "hack" / "gateway-api"
MODULE = "sigs.k8s.io/gateway-api"
DOWNLOAD_SECONDS = 120
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


def gateway_crds() -> list[JsonObject]:
    """Return the CRDs of HTTPRoutes and TLSRoutes of the Gateway API's standard channel, from its pinned Go module."""
    go = find_go(Layout(), print)
    answer = subprocess.run(
        [go, "mod", "download", "-json", MODULE], cwd=GATEWAY, capture_output=True, check=True, timeout=DOWNLOAD_SECONDS
    )
    folder = Path(text_at(parse(answer.stdout), "Dir")) / "config" / "crd" / "standard"
    files = [folder / f"gateway.networking.k8s.io_{plural}.yaml" for plural in ("httproutes", "tlsroutes")]
    return [parse(json.dumps(yaml.safe_load(file.read_text()))) for file in files]
