"""Fields that have Kubernetes' own structure: bounded here, and validated by the API server when the pods are made.

Their schemas are large and grow with every release of Kubernetes. The CRD therefore keeps what it does not know
(ADR 30).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeAlias

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from realtime_operator.api.base import JsonObject, JsonValue, refusal
from realtime_operator.api.lists import ATOMIC, MAP_BY_MOUNT_PATH, MAP_BY_NAME
from realtime_operator.api.schema import PRESERVES_UNKNOWN

MOST_BYTES = 32768
"""Upper bound of one object as JSON, so that the record of a revision fits into an annotation."""
MOST_LEVELS = 32
"""Upper bound of nested objects and lists; those of a pod have 15 at most."""


@dataclass(frozen=True, slots=True)
class Structure:
    """Metadata of an object whose fields are Kubernetes' own; those in `required` must be texts."""

    what: str
    required: tuple[str, ...] = ()

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Accept every JSON object within the bounds."""
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Return a schema that keeps unknown fields."""
        rendered: JsonSchemaValue = {"type": "object", "description": self.what, PRESERVES_UNKNOWN: True}
        if self.required:
            key: JsonSchemaValue = {"type": "string", "minLength": 1, "maxLength": 4096}
            rendered["properties"] = {
                name: {**key, "description": f"The `{name}` of the item, unique in its list."} for name in self.required
            }
            rendered["required"] = [*self.required]
        return rendered

    def _check(self, value: object) -> JsonObject:
        if not isinstance(value, dict):
            raise refusal("must be of type object")
        for name in self.required:
            if name not in value:
                raise refusal("Required value: is required", name)
            if not isinstance(value[name], str) or not value[name]:
                raise refusal("must be of type string, and not empty", name)
        _check_values(value, MOST_LEVELS)
        if len(json.dumps(value)) > MOST_BYTES:
            raise refusal(f"must have at most {MOST_BYTES} bytes as JSON")
        return value


def _check_values(value: JsonValue, levels: int) -> None:
    if value is None:
        raise refusal("null has no meaning here: leave the field out, or remove it in a template by $patch: delete")
    if levels == 0:
        raise refusal(f"must have at most {MOST_LEVELS} levels")
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        _check_values(child, levels - 1)


if TYPE_CHECKING:
    Document: TypeAlias = JsonObject
else:
    Document = dict  # pydantic cannot evaluate a recursive type, and Structure replaces its validation

Affinity = Annotated[Document, Structure("Affinity, as in a pod.")]
PodSecurityContext = Annotated[Document, Structure("Security context, as in a pod.")]
ContainerSecurityContext = Annotated[Document, Structure("Security context, as in a container.")]
PodTemplate = Annotated[Document, Structure("Patch of a pod template.")]

SpreadConstraints = Annotated[
    tuple[Annotated[Document, Structure("Spread constraint, as in a pod.", ("topologyKey",))], ...],
    Field(max_length=8),
    ATOMIC,
]
Environment = Annotated[
    tuple[Annotated[Document, Structure("Variable, as in a container.", ("name",))], ...],
    Field(max_length=64),
    MAP_BY_NAME,
]
EnvironmentSources = Annotated[
    tuple[Annotated[Document, Structure("ConfigMap or Secret, as in a container.")], ...],
    Field(max_length=16),
    ATOMIC,
]
Volumes = Annotated[
    tuple[Annotated[Document, Structure("Volume, as in a pod.", ("name",))], ...],
    Field(max_length=32),
    MAP_BY_NAME,
]
VolumeMounts = Annotated[
    tuple[Annotated[Document, Structure("Mount, as in a container.", ("mountPath", "name"))], ...],
    Field(max_length=32),
    MAP_BY_MOUNT_PATH,
]
Containers = Annotated[
    tuple[Annotated[Document, Structure("Container, as in a pod.", ("name",))], ...],
    Field(max_length=16),
    MAP_BY_NAME,
]
