"""Keeps what an operator of this commit makes of some specs, for later ones to take over: tests/fixtures/revisions.

`make revision-fixtures NAME=date-commit` writes those of this commit. Those that are there are never written anew: they
are what runs in clusters. It runs on the code of an older commit too, from a folder in which that is unpacked:

    PYTHONPATH=OLDER:OLDER/operator:OLDER/server python -P tests/kit/revision_worlds.py NAME
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml

from realtime_operator.api.base import JsonObject
from realtime_operator.api.references import references
from realtime_server.settings import EventHook, JsonWebKeys, RequestHook, Settings
from tests.unit.realtime_operator.planning.memory_platform import MemoryPlatform

FOLDER = Path(__file__).parents[1] / "fixtures" / "revisions"
SPECS = FOLDER / "specs"
SERVER_DEFAULTS = "server-defaults.json"


def settled_world(spec: JsonObject) -> JsonObject:
    """Return the state of a cluster that matches its spec."""
    platform = MemoryPlatform(spec)
    for reference in references(platform.cluster()):
        platform.secrets.setdefault(reference.secret, {})[reference.key] = "0" * 64
    platform.settle()
    return {
        "spec": spec,
        "status": platform.status,
        "generation": platform.generation,
        "secrets": {name: {**keys} for name, keys in platform.secrets.items()},
        "objects": list(platform.objects.values()),
    }


def server_defaults() -> JsonObject:
    """Return the server's defaults of all fields."""
    plain, kept = Settings.model_validate({"namespaces": [{"name": "a"}, {"name": "b", "history": {}}]}).namespaces
    assert kept.history is not None
    (api_key,) = Settings.model_validate({"api": {"keys": [{"name": "a", "file": "a"}]}}).api.keys
    examples = {
        "settings": Settings(),
        "namespace": plain,
        "history": kept.history,
        "jwks": JsonWebKeys(url="http://a"),
        "hook": RequestHook(url="http://a"),
        "eventHook": EventHook(url="http://a"),
        "apiKey": api_key,
    }
    return {name: json.loads(example.model_dump_json()) for name, example in examples.items()}


def main() -> None:
    """Write the fixtures of the current code."""
    folder = FOLDER / sys.argv[1]
    folder.mkdir()
    documents = {path.stem: settled_world(yaml.safe_load(path.read_text())) for path in sorted(SPECS.glob("*.yaml"))}
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
    (folder / SERVER_DEFAULTS).write_text(json.dumps(server_defaults(), indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
