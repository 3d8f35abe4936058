"""The YAML file of a RealtimeCluster: what `kubectl apply -f` would send, checked as the API server checks it."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue
from realtime_operator.api.errors import InvalidCluster
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.errors import InputError


@dataclass(frozen=True, slots=True)
class ClusterFile:
    """What a file says: one cluster, the values of Secrets, and kinds that mean nothing outside of Kubernetes."""

    path: Path
    document: JsonObject
    cluster: RealtimeCluster
    secrets: Mapping[str, Mapping[str, str]]
    ignored: tuple[str, ...]

    @property
    def name(self) -> str:
        """The cluster's name."""
        return self.cluster.metadata.name

    @property
    def spec(self) -> JsonObject:
        """The spec as it is written."""
        spec = self.document.get("spec")
        return spec if isinstance(spec, dict) else {}


def read(path: Path, name: str | None = None) -> ClusterFile:
    """Read a file; `name` chooses one of several clusters. Raises InputError that says what is wrong and where."""
    documents = list(_documents(path))
    clusters = [document for document in documents if document.get("kind") == naming.KIND]
    chosen = [document for document in clusters if name is None or _name_of(document) == name]
    if not clusters:
        raise InputError(f"{path}: has no object of kind {naming.KIND}; `realtime init` writes a file to begin with")
    if not chosen:
        raise InputError(f"{path}: has no {naming.KIND} named {name}, but {_names(clusters)}")
    if len(chosen) > 1:
        raise InputError(f"{path}: has {len(chosen)} clusters ({_names(chosen)}): choose one with --name")
    others = [document for document in documents if document.get("kind") not in {naming.KIND, "Secret"}]
    return ClusterFile(
        path=path,
        document=chosen[0],
        cluster=_checked(path, chosen[0]),
        secrets={_name_of(d): _values(path, d) for d in documents if d.get("kind") == "Secret"},
        ignored=tuple(f"{document.get('kind')} {_name_of(document)}" for document in others),
    )


def _documents(path: Path) -> Iterator[JsonObject]:
    try:
        text = path.read_text()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8: {error.reason} at byte {error.start}") from error
    try:
        documents = json.loads(json.dumps(list(yaml.safe_load_all(text))))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: has a value that JSON does not have ({error}): put it in quotes") from error
    for document in documents:
        if isinstance(document, dict):
            yield document
        elif document is not None:
            raise InputError(f"{path}: has a document that is no object; begin it with apiVersion, kind and metadata")


def _checked(path: Path, document: JsonObject) -> RealtimeCluster:
    version = document.get("apiVersion")
    if version != naming.API_VERSION:
        raise InputError(f"{path}: apiVersion: is {version}; this release reads {naming.API_VERSION}")
    try:
        return RealtimeCluster.from_object({**document, "status": None})
    except InvalidCluster as error:
        lines = "\n".join(f"  {finding}" for finding in error.findings)
        raise InputError(f'{path}: {naming.KIND} "{_name_of(document)}" is invalid:\n{lines}') from error


def _values(path: Path, document: JsonObject) -> Mapping[str, str]:
    values: dict[str, str] = {}
    data, text = document.get("data"), document.get("stringData")
    for key, value in data.items() if isinstance(data, dict) else ():
        try:
            values[key] = base64.b64decode(str(value), validate=True).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise InputError(f"{path}: Secret {_name_of(document)}: data.{key}: is not the base64 of a text") from error
    for key, value in text.items() if isinstance(text, dict) else ():
        values[key] = str(value)
    return values


def _name_of(document: JsonObject) -> str:
    metadata: JsonValue = document.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _names(documents: list[JsonObject]) -> str:
    return ", ".join(map(_name_of, documents))
