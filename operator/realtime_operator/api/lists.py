"""Types of lists for server-side apply, and checks for duplicates."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from realtime_operator.api.base import refusal


@dataclass(frozen=True, slots=True)
class ListType:
    """Metadata of a list: `set` of texts, `map` of objects by `key`, or `atomic`, which is replaced as a whole.

    The API server refuses duplicates in sets and maps by the type of the list; the operator does so by itself.
    """

    kind: str
    key: str | None = None

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Add the check for duplicates after the validation of the items."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Add the markers that server-side apply reads."""
        keys = {"x-kubernetes-list-map-keys": [self.key]} if self.key else {}
        return {**handler(schema), "x-kubernetes-list-type": self.kind, **keys}

    def _check(self, items: tuple[object, ...]) -> tuple[object, ...]:
        seen: set[Hashable] = set()
        for item in items if self.kind != "atomic" else ():
            identity = self._identity(item)
            if identity in seen:
                raise refusal(f"Duplicate value: {identity}")
            seen.add(identity)
        return items

    def _identity(self, item: object) -> Hashable:
        if self.key is None:
            return item
        return str(item[self.key]) if isinstance(item, dict) else str(getattr(item, self.key))


SET = ListType("set")
ATOMIC = ListType("atomic")
MAP_BY_NAME = ListType("map", "name")
MAP_BY_KEY = ListType("map", "key")
MAP_BY_TYPE = ListType("map", "type")
MAP_BY_MOUNT_PATH = ListType("map", "mountPath")
