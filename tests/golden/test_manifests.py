"""Golden tests of rendered manifests: `manifests/NAME.yaml` becomes `manifests/NAME.golden.yaml`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.v1alpha1 import RealtimeCluster
from tests.kit.document import object_at, parse
from tests.kit.golden import check_golden
from tests.kit.manifests import render

INPUTS = sorted(
    path for path in (Path(__file__).parent / "manifests").glob("*.yaml") if not path.name.endswith(".golden.yaml")
)


class _Dumper(yaml.SafeDumper):
    """YAML dumper with long texts as blocks, so that a changed line differs in one line."""


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def without_record(manifest: JsonObject) -> JsonObject:
    """Return the manifest without the annotation that repeats it as one long line."""
    metadata = object_at(manifest, "metadata")
    annotations = object_at(metadata, "annotations")
    kept: JsonObject = {key: value for key, value in annotations.items() if key != naming.ANNOTATION_MANIFEST}
    return {**manifest, "metadata": {**metadata, "annotations": kept} if kept else metadata}


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: path.stem)
def test_manifests_are_the_golden_ones(path: Path) -> None:
    """The file has all objects in the order in which they are applied."""
    cluster = RealtimeCluster.from_object(parse(json.dumps(yaml.safe_load(path.read_text()))))
    text = yaml.dump_all(
        [without_record(manifest) for manifest in render(cluster)],
        Dumper=_Dumper,
        sort_keys=False,
        width=120,
        explicit_start=True,
    )
    check_golden(path.with_suffix(".golden.yaml"), text)
