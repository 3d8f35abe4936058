"""The Helm chart, as text and as what helm renders of it.

The rendered manifests of a few sets of values are kept in tests/golden/helm, so that unit tests can read them where
there is no helm; tests/e2e/test_chart.py proves that helm still renders the same. `python -m tests.kit.chart HELM`
writes them again.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import yaml

from realtime_operator.api.base import JsonObject
from tests.kit.document import parse

CHART = Path(__file__).parents[2] / "helm" / "realtime-operator"
GOLDEN = Path(__file__).parents[1] / "golden" / "helm"
GOLDEN_NAMES = ("cluster-wide", "namespaced", "one-namespace", "webhook")
RELEASE = "realtime-operator"
NAMESPACE = "realtime-system"
KUBERNETES_VERSION = "1.34.4"
HELM_SECONDS = 60
HEADER = "# What helm renders with the values beside this file; written by `python -m tests.kit.chart HELM`.\n"


class HelmError(AssertionError):
    """helm ended with an error; the text is its output."""


def chart_file(path: str) -> JsonObject:
    """Return a YAML or JSON file of the chart."""
    return documents_of((CHART / path).read_text())[0]


def golden(name: str) -> list[JsonObject]:
    """Return the manifests that helm rendered with the values `name`, one of GOLDEN_NAMES."""
    return documents_of(golden_text(name))


def golden_text(name: str) -> str:
    """Return the manifests that helm rendered as text."""
    return (GOLDEN / f"{name}.yaml").read_text()


def golden_values(name: str) -> Path:
    """Return the path of the values file."""
    return GOLDEN / f"{name}.values.yaml"


def run_helm(helm: Path, *arguments: str) -> str:
    """Run helm and return its output; raises HelmError with its error output."""
    result = subprocess.run([str(helm), *arguments], capture_output=True, text=True, timeout=HELM_SECONDS)
    if result.returncode != 0:
        raise HelmError(result.stderr.strip() or result.stdout.strip())
    return result.stdout


def render(helm: Path, *options: str, release: str = RELEASE, namespace: str = NAMESPACE) -> str:
    """Render the manifests without access to a cluster; raises HelmError."""
    version = ("--kube-version", KUBERNETES_VERSION)
    return run_helm(helm, "template", release, str(CHART), "--namespace", namespace, *version, *options)


def render_golden(helm: Path, name: str) -> str:
    """Render the manifests in the format of the golden file."""
    return HEADER + render(helm, "--values", str(golden_values(name)))


def documents_of(text: str) -> list[JsonObject]:
    """Return the objects of a YAML stream."""
    return [parse(json.dumps(document)) for document in yaml.safe_load_all(text) if document]


def main(helm: Path) -> None:
    """Rewrite all golden files."""
    for name in GOLDEN_NAMES:
        (GOLDEN / f"{name}.yaml").write_text(render_golden(helm, name))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
