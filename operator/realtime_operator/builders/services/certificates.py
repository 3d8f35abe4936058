"""The Certificates of cert-manager, which keeps the Secrets that the spec refers to."""

from __future__ import annotations

from realtime_operator import naming
from realtime_operator.api.base import JsonObject, Model
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.api.v1alpha1_certificate import Certificate, IngressTls, RedisServerTls, ServerTls
from realtime_operator.builders.manifest import metadata, with_applied_hash
from realtime_operator.builders.redis.service import redis_hosts


def build_certificates(cluster: RealtimeCluster) -> tuple[JsonObject, ...]:
    """Build a Certificate for each part of the spec that has an issuer: client port, Ingress, API port, Redis."""
    name, endpoint, api = cluster.metadata.name, cluster.spec.endpoint, cluster.spec.api.tls
    ingress, managed = endpoint.ingress, cluster.spec.backplane.managed
    wanted: tuple[tuple[str, ServerTls | IngressTls | RedisServerTls | None, tuple[str, ...]], ...] = (
        (naming.certificate(name), endpoint.tls, endpoint.hostnames),
        (naming.ingress_certificate(name), ingress.tls if ingress else None, ingress.hosts if ingress else ()),
        (naming.api_certificate(name), api, _service_names(cluster)),
        (naming.redis_certificate(name), managed.tls if managed else None, redis_hosts(cluster)),
    )
    return tuple(
        _build(cluster, certificate, tls.secret_ref.name, tls.certificate, _names(tls, tls.certificate, names))
        for certificate, tls, names in wanted
        if tls is not None and tls.secret_ref is not None and tls.certificate is not None
    )


def _names(tls: Model, wanted: Certificate, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names in a certificate: those of the spec, or the own ones, which that of Redis has in any case."""
    always = names if isinstance(tls, RedisServerTls) else ()
    return tuple(dict.fromkeys((*always, *(wanted.dns_names or names))))


def _service_names(cluster: RealtimeCluster) -> tuple[str, ...]:
    """Return the names by which backends in the Kubernetes cluster call the API."""
    host = f"{naming.api_service(cluster.metadata.name)}.{cluster.metadata.namespace}"
    return naming.api_service(cluster.metadata.name), host, f"{host}.svc"


def _build(cluster: RealtimeCluster, name: str, secret: str, wanted: Certificate, names: tuple[str, ...]) -> JsonObject:
    times: JsonObject = {"duration": wanted.duration, "renewBefore": wanted.renew_before}
    issuer = wanted.issuer_ref
    return with_applied_hash(
        {
            "apiVersion": "cert-manager.io/v1",
            "kind": "Certificate",
            "metadata": metadata(cluster, name, naming.COMPONENT_SERVER),
            "spec": {
                "secretName": secret,
                "dnsNames": [*names],
                "issuerRef": {"name": issuer.name, "kind": issuer.kind, "group": issuer.group},
                "usages": ["server auth"],
                **{field: value for field, value in times.items() if value is not None},
            },
        }
    )
