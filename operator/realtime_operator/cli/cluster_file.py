"""YAML files with a RealtimeCluster, as `kubectl apply -f` sends them, validated as by the API server."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import ConfigDict, Field, ValidationError

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, JsonValue, Model
from realtime_operator.api.errors import Finding, InvalidCluster, findings_of
from realtime_operator.api.fields import ObjectName, SecretKey
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.validation import wrong_fields
from realtime_operator.builders import BuildSettings, check_pods
from realtime_operator.errors import InputError

_SETTINGS = BuildSettings(server_image="server", redis_image="redis")
"""Stands for the operator's defaults, which no check of a file depends on."""


@dataclass(frozen=True, slots=True)
class ClusterFile:
    """Content of a file: one cluster, the values of Secrets, and kinds that mean nothing outside of Kubernetes."""

    path: Path
    document: JsonObject
    cluster: RealtimeCluster
    secrets: Mapping[str, Mapping[str, str]]
    ignored: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the cluster."""
        return self.cluster.metadata.name

    @property
    def spec(self) -> JsonObject:
        """The spec as written in the file."""
        spec = self.document.get("spec")
        return spec if isinstance(spec, dict) else {}


def read(path: Path, name: str | None = None) -> ClusterFile:
    """Read a file; `name` selects one of several clusters. Raises InputError with the place and the reason."""
    documents = list(parse_documents(read_text(path), path))
    clusters = [document for document in documents if document.get("kind") == naming.KIND]
    chosen = [document for document in clusters if name is None or _name_of(document) == name]
    if not clusters:
        raise InputError(f"{path}: has no object of kind {naming.KIND}; `realtime init` writes a file to begin with")
    if not chosen:
        raise InputError(f"{path}: has no {naming.KIND} named {name}; it has {_names(clusters)}")
    if len(chosen) > 1:
        raise InputError(f"{path}: has {len(chosen)} clusters ({_names(chosen)}): choose one with --name")
    others = [document for document in documents if document.get("kind") not in {naming.KIND, "Secret"}]
    return ClusterFile(
        path=path,
        document=chosen[0],
        cluster=checked(path, chosen[0]),
        secrets={_name_of(d): _values(path, d) for d in documents if d.get("kind") == "Secret"},
        ignored=tuple(f"{document.get('kind')} {_name_of(document)}" for document in others),
    )


class _SecretMetadata(Model):
    model_config = ConfigDict(extra="ignore")

    name: ObjectName


class _Secret(Model):
    """The fields of a Secret that are used."""

    model_config = ConfigDict(extra="ignore")

    metadata: _SecretMetadata
    data: dict[SecretKey, str] = Field(default_factory=dict)
    string_data: dict[SecretKey, str] = Field(default_factory=dict)


class _Loader(yaml.SafeLoader):
    """YAML loader that refuses duplicate keys, as kubectl does; PyYAML would ignore the first one."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:  # type: ignore[override] # the stubs have it wrong
        node = super().compose_mapping_node(anchor)  # type: ignore[arg-type] # the stubs have it wrong
        seen: set[tuple[str, str]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise yaml.MarkedYAMLError(
                        problem=f"the key {key.value} appears twice", problem_mark=key.start_mark
                    )
                seen.add((key.tag, key.value))
        return node


def read_text(path: Path) -> str:
    """Read a file; raises InputError when it cannot be read or is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8: {error.reason} at byte {error.start}") from error


def parse_documents(text: str, path: Path | str) -> Iterator[JsonObject]:
    """Yield the objects of a YAML text; raises InputError, which names `path`, for invalid YAML or other values."""
    try:
        documents = json.loads(json.dumps(list(yaml.load_all(text, _Loader)), allow_nan=False))
    except yaml.YAMLError as error:
        raise InputError(f"{path}: is not YAML: {' '.join(str(error).split())}") from error
    except (TypeError, ValueError) as error:
        raise InputError(f"{path}: has a value that JSON cannot express ({error}): put it in quotes") from error
    except RecursionError as error:
        raise InputError(f"{path}: is nested too deeply") from error
    for document in documents:
        if isinstance(document, dict):
            yield document
        elif document is not None:
            raise InputError(
                f"{path}: has a document that is not an object: begin it with apiVersion, kind and metadata"
            )


def checked(path: Path | str, document: JsonObject) -> RealtimeCluster:
    """Validate a cluster as the API server and the operator do; raises InputError with every finding."""
    version = document.get("apiVersion")
    if version != naming.API_VERSION:
        raise InputError(f"{path}: apiVersion: is {version}; this release reads {naming.API_VERSION}")
    try:
        cluster = RealtimeCluster.from_object({**document, "status": None})
    except InvalidCluster as error:
        raise _invalid(path, document, error.findings) from error
    refuse(path, document, (*wrong_fields(cluster), *check_pods(cluster, _SETTINGS)))
    return cluster


def refuse(path: Path | str, document: JsonObject, findings: Sequence[Finding]) -> None:
    """Raise InputError with every finding, if there is one."""
    if findings:
        raise _invalid(path, document, findings)


def _values(path: Path, document: JsonObject) -> Mapping[str, str]:
    """Return the values of a Secret. Its name and keys become file names, so they must be valid in Kubernetes."""
    try:
        secret = _Secret.model_validate_json(json.dumps(document))
    except ValidationError as error:
        raise _invalid(path, document, findings_of(error)) from error
    values: dict[str, str] = {}
    for key, value in secret.data.items():
        try:
            # base64 programs break lines; Kubernetes ignores the breaks.
            values[key] = base64.b64decode("".join(value.splitlines()), validate=True).decode()
        except (binascii.Error, UnicodeError, ValueError) as error:
            raise InputError(f"{path}: Secret {_name_of(document)}: data.{key}: is not the base64 of a text") from error
    values |= secret.string_data
    for key in values:
        if key == "." or key.startswith(".."):
            raise InputError(f"{path}: Secret {_name_of(document)}: {key} cannot be a key: it is a folder's name")
    return values


def _invalid(path: Path | str, document: JsonObject, findings: Sequence[Finding]) -> InputError:
    lines = "\n".join(f"  {finding}" for finding in findings)
    return InputError(f'{path}: {document.get("kind")} "{_name_of(document)}" is invalid:\n{lines}')


def _name_of(document: JsonObject) -> str:
    metadata: JsonValue = document.get("metadata")
    return str(metadata.get("name", "")) if isinstance(metadata, dict) else ""


def _names(documents: list[JsonObject]) -> str:
    return ", ".join(map(_name_of, documents))
