"""References of a spec to Secrets of the user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from realtime_operator.api.base import Model
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_server import SecretKeySelector


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """The field of the spec at `path` refers to the key of a Secret in the cluster's namespace."""

    path: str
    secret: str
    key: str


def references(cluster: RealtimeCluster) -> tuple[Reference, ...]:
    """Return every reference of the spec, in the order of its fields."""
    return tuple(_references_in(cluster.spec, "spec"))


def _references_in(value: object, path: str) -> Iterator[Reference]:
    match value:
        case SecretKeySelector():
            yield Reference(path, value.name, value.key)
        case Model():
            for name, field in type(value).model_fields.items():
                yield from _references_in(getattr(value, name), f"{path}.{field.alias}")
        case tuple():
            for index, item in enumerate(value):
                yield from _references_in(item, f"{path}[{index}]")
