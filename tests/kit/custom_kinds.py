"""CustomResourceDefinitions of other projects' kinds, for tests of clusters with and without them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable
from pathlib import Path

import yaml

from realtime_operator.api.base import JsonObject
from realtime_operator.builders.optional_kinds import OptionalKind
from tests.kit.cluster.layout import REPOSITORY, Layout
from tests.kit.cluster.programs import find_go
from tests.kit.document import parse, text_at

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


def gateway_crds(channel: str = "standard", plurals: Iterable[str] = ("httproutes", "tlsroutes")) -> list[JsonObject]:
    """Return CRDs of a channel of the Gateway API, from its pinned Go module."""
    folder = module_folder("gateway-api", MODULE) / "config" / "crd" / channel
    files = [folder / f"gateway.networking.k8s.io_{plural}.yaml" for plural in plurals]
    return [document for file in files for document in documents_of(file)]


def module_folder(hack: str, module: str) -> Path:
    """Return the folder of a Go module in the release that a folder of `hack` pins; it is downloaded if necessary."""
    answer = subprocess.run(
        [find_go(Layout(), print), "mod", "download", "-json", module],
        cwd=REPOSITORY / "hack" / hack, capture_output=True, check=True, timeout=DOWNLOAD_SECONDS,
    )  # fmt: skip
    return Path(text_at(parse(answer.stdout), "Dir"))


def documents_of(file: Path) -> list[JsonObject]:
    """Return the objects of a YAML file."""
    return [parse(json.dumps(document)) for document in yaml.safe_load_all(file.read_text()) if document]
