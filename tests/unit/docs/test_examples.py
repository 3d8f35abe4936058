"""What the documentation shows is accepted by the models."""

from __future__ import annotations

import json

import pytest

from realtime_operator import naming
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import check_pods
from tests.kit.manifests import SETTINGS
from tests.kit.shown_examples import ROOT, Example, shown_examples

SHOWN = [example for example in shown_examples() if example.is_cluster]


@pytest.mark.parametrize("example", SHOWN, ids=[example.place for example in SHOWN])
def test_shown_clusters_are_valid(example: Example) -> None:
    """A manifest of a document is a valid RealtimeCluster; a fragment of a spec is a valid spec."""
    assert set(example.document) <= {"apiVersion", "kind", "metadata", "spec"}
    assert example.document.get("apiVersion", naming.API_VERSION) == naming.API_VERSION
    cluster = RealtimeCluster.from_object(example.whole)
    assert check_pods(cluster, SETTINGS) == ()


def test_the_guides_show_clusters() -> None:
    """The pattern by which examples are found still finds them."""
    assert len(SHOWN) > 8


def test_the_chat_installs_the_sdks_that_tests_use() -> None:
    """Its pages are tested with the packages of the tests."""
    chat, tested = (
        json.loads((ROOT / path / "package-lock.json").read_text())["packages"]
        for path in ("examples/chat", "tests/kit/sdk")
    )
    for sdk in ("node_modules/centrifuge", "node_modules/socket.io-client"):
        assert chat[sdk]["integrity"] == tested[sdk]["integrity"]
