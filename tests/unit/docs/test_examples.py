"""What the documentation shows is accepted by the models."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import check_pods
from tests.kit.chart import CHART
from tests.kit.document import object_at, parse
from tests.kit.manifests import SETTINGS

ROOT = Path(__file__).parents[3]
BLOCK = re.compile(r"^```(yaml|json)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
HERE_DOCUMENT = re.compile(r"<<'YAML'\n(.*?)^YAML$", flags=re.MULTILINE | re.DOTALL)


def shown() -> list[tuple[str, JsonObject]]:
    """Every cluster, or part of its spec, that a document shows."""
    texts = [
        (f"{path.relative_to(ROOT)}", body)
        for path in sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])
        for kind, body in BLOCK.findall(path.read_text())
        if kind == "yaml"
    ]
    notes = CHART / "templates" / "NOTES.txt"
    texts += [(notes.name, body) for body in HERE_DOCUMENT.findall(notes.read_text())]
    documents = [
        (f"{name}-{index}", parse(json.dumps(document)))
        for index, (name, text) in enumerate(texts)
        for document in yaml.safe_load_all(text)
    ]
    return [(name, document) for name, document in documents if document.get("kind", naming.KIND) == naming.KIND]


SHOWN = shown()


@pytest.mark.parametrize("document", [document for _, document in SHOWN], ids=[name for name, _ in SHOWN])
def test_shown_clusters_are_valid(document: JsonObject) -> None:
    """A manifest of a document is a valid RealtimeCluster; a fragment of a spec is a valid spec."""
    assert set(document) <= {"apiVersion", "kind", "metadata", "spec"}
    assert document.get("apiVersion", naming.API_VERSION) == naming.API_VERSION
    metadata = object_at(document, "metadata") or {"name": "shown"}
    cluster = RealtimeCluster.from_object({**document, "metadata": metadata})
    assert check_pods(cluster, SETTINGS) == ()


def test_the_guides_show_clusters() -> None:
    """The pattern by which examples are found still finds them."""
    assert len(SHOWN) > 8
