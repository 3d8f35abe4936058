"""References of a spec to Secrets of the user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from realtime_operator.api.base import Model
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_certificate import KEY_CERTIFICATE, KEY_PRIVATE_KEY, ServerTls
from realtime_operator.api.v1alpha1_server import SecretKeySelector


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """The field of the spec at `path` refers to the key of a Secret in the cluster's namespace."""

    path: str
    secret: str
    key: str


def references(cluster: RealtimeCluster) -> tuple[Reference, ...]:
    """Return every reference of the spec to what must exist, in the order of its fields.

    Not among them are Secrets that cert-manager will make, and that of an Ingress, which only its controller reads.
    """
    return tuple(_references_in(cluster.spec, "spec"))


def _references_in(value: object, path: str) -> Iterator[Reference]:
    match value:
        case SecretKeySelector():
            yield Reference(path, value.name, value.key)
        case Model():
            if isinstance(value, ServerTls) and value.certificate is None:
                for key in (KEY_CERTIFICATE, KEY_PRIVATE_KEY):
                    yield Reference(f"{path}.secretRef", value.secret_ref.name, key)
            for name, field in type(value).model_fields.items():
                yield from _references_in(getattr(value, name), f"{path}.{field.alias}")
        case tuple():
            for index, item in enumerate(value):
                yield from _references_in(item, f"{path}[{index}]")
