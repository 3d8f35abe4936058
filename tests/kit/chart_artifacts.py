"""What is published of the chart: manifests for `kubectl apply`, and a package for Helm and OCI registries.

`python -m tests.kit.chart_artifacts manifests` writes dist/install.yaml and dist/install-one-namespace.yaml.
`python -m tests.kit.chart_artifacts package` writes dist/realtime-operator-VERSION.tgz; with oci://REGISTRY/PATH behind
it, the package is also pushed there.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from realtime_operator.api.base import JsonObject
from tests.kit.chart import CHART, NAMESPACE, chart_file, render, run_helm
from tests.kit.cluster.layout import REPOSITORY, Layout
from tests.kit.cluster.lifecycle import Progress
from tests.kit.cluster.process import ClusterError
from tests.kit.cluster.programs import build_missing
from tests.kit.kube import RESTRICTED

DIST = REPOSITORY / "dist"
USAGE = "usage: python -m tests.kit.chart_artifacts manifests | package [oci://REGISTRY/PATH]"
HEADER = (
    "# Installs the operator: kubectl apply --server-side -f FILE. Written by `make manifests` from the Helm chart.\n"
)
VARIANTS: dict[str, JsonObject] = {
    "install.yaml": {},
    "install-one-namespace.yaml": {"watchNamespaces": [NAMESPACE], "rbac": {"aggregateRoles": False}},
}
"""Files with the values that they are rendered with: all namespaces, or the operator's own with Roles only."""


def manifests(helm: Path, values: JsonObject) -> str:
    """Render the chart with its CRD, preceded by the namespace, which enforces the restricted Pod Security."""
    metadata = {"name": NAMESPACE, "labels": RESTRICTED}
    namespace = yaml.safe_dump({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}, sort_keys=False)
    options = [f"--set-json={key}={json.dumps(value)}" for key, value in values.items()]
    return f"{HEADER}---\n{namespace}{render(helm, '--no-hooks', *options)}"


def package(helm: Path, folder: Path) -> Path:
    """Write the chart's package into a folder and return its path."""
    run_helm(helm, "package", str(CHART), "--destination", str(folder))
    return folder / f"realtime-operator-{chart_file('Chart.yaml')['version']}.tgz"


def push(helm: Path, archive: Path, target: str, *options: str) -> None:
    """Push a package to `oci://REGISTRY/PATH`, below the chart's name and with its version as the tag."""
    run_helm(helm, "push", str(archive), target, *options)


def main(arguments: Sequence[str]) -> int:
    """Write what is asked for; return the exit code."""
    layout = Layout()
    DIST.mkdir(exist_ok=True)
    match arguments:
        case ["manifests"]:
            build_missing(layout, Progress(), frozenset({"helm"}))
            for name, values in VARIANTS.items():
                (DIST / name).write_text(manifests(layout.helm, values))
                print(f"wrote dist/{name}")
        case ["package", *targets] if len(targets) <= 1:
            build_missing(layout, Progress(), frozenset({"helm"}))
            archive = package(layout.helm, DIST)
            print(f"wrote dist/{archive.name}")
            for target in targets:
                push(layout.helm, archive, target)
                print(f"pushed it to {target}/realtime-operator")
        case _:
            print(USAGE, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (ClusterError, AssertionError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
