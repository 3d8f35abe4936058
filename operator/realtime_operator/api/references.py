"""References of a spec to Secrets of the user."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from realtime_operator import naming
from realtime_operator.api.base import Model
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_certificate import (
    KEY_AUTHORITY,
    KEY_CERTIFICATE,
    KEY_PRIVATE_KEY,
    RedisServerTls,
    ServerTls,
)
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


def referred_secrets(cluster: RealtimeCluster) -> set[str]:
    """Return the names of the Secrets of others that matter to the cluster.

    That which cert-manager makes for Redis is one of them: Redis is not changed before it is there.
    """
    managed = cluster.spec.backplane.managed
    tls = None if managed is None else managed.tls
    issued = set() if tls is None or tls.secret_ref is None else {tls.secret_ref.name}
    return {reference.secret for reference in references(cluster)} | issued


def read_secrets(cluster: RealtimeCluster) -> set[str]:
    """Return the names of all Secrets that the operator reads: those of the cluster, and those of others."""
    managed, name = cluster.spec.backplane.managed, cluster.metadata.name
    is_generated = managed is not None and managed.tls is not None and managed.tls.secret_ref is None
    generated = {naming.redis_certificate(name)} if is_generated else set()
    return {*naming.secrets(name), *generated, *referred_secrets(cluster)}


def _references_in(value: object, path: str) -> Iterator[Reference]:
    match value:
        case SecretKeySelector():
            yield Reference(path, value.name, value.key)
        case Model():
            if isinstance(value, ServerTls | RedisServerTls) and value.certificate is None and value.secret_ref:
                authority = (KEY_AUTHORITY,) if isinstance(value, RedisServerTls) else ()
                for key in (KEY_CERTIFICATE, KEY_PRIVATE_KEY, *authority):
                    yield Reference(f"{path}.secretRef", value.secret_ref.name, key)
            for name, field in type(value).model_fields.items():
                yield from _references_in(getattr(value, name), f"{path}.{field.alias}")
        case tuple():
            for index, item in enumerate(value):
                yield from _references_in(item, f"{path}[{index}]")
