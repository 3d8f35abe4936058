"""Every object that the documentation shows is taken by a real API server, with `kubectl apply --dry-run=server`."""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.kit.apiserver import ApiServer
from tests.kit.cluster.layout import Layout
from tests.kit.document import text_at
from tests.kit.shown_examples import Example, shown_examples

OF_OTHER_PROJECTS = (
    "monitoring.coreos.com/", "argoproj.io/", "gateway.networking.k8s.io/", "cert-manager.io/", "keda.sh/",
    "kustomize.toolkit.fluxcd.io/", "helm.toolkit.fluxcd.io/", "source.toolkit.fluxcd.io/", "kyverno.io/",
)  # fmt: skip
"""Groups whose kinds are served only where their project is installed."""
SHOWN = [
    example for example in shown_examples()
    if example.is_cluster or ("kind" in example.document
                              and not text_at(example.document, "apiVersion").startswith(OF_OTHER_PROJECTS))
]  # fmt: skip


@pytest.mark.parametrize("example", SHOWN, ids=[example.place for example in SHOWN])
def test_a_shown_object_is_accepted(api_server: ApiServer, namespace: str, example: Example) -> None:
    """Defaults, rules and unknown fields are the API server's; there are no warnings."""
    command = [
        str(Layout().programs / "kubectl"), "--kubeconfig", str(api_server.kubeconfig()), "apply", "-f", "-",
        "--dry-run=server", "--validate=strict", "--warnings-as-errors",
    ]  # fmt: skip
    document = example.whole
    metadata = {**(document["metadata"] if isinstance(document["metadata"], dict) else {}), "namespace": namespace}
    text = json.dumps({**document, "metadata": metadata})
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "(server dry run)" in done.stdout
