"""Models of certificates: a Secret that exists, or one that cert-manager keeps."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from realtime_operator.api.base import Model, rule
from realtime_operator.api.fields import KEEPS_REVISION, Duration, Hostname, ObjectName
from realtime_operator.api.lists import SET

KEY_CERTIFICATE = "tls.crt"
KEY_PRIVATE_KEY = "tls.key"
"""Keys of a Secret of type kubernetes.io/tls."""
KEY_AUTHORITY = "ca.crt"
"""Key of the certificate of the authority, which cert-manager writes too."""


class TlsSecretReference(Model):
    """Reference to a Secret of type kubernetes.io/tls in the cluster's namespace."""

    name: ObjectName
    """Name of the Secret, which has the keys `tls.crt` and `tls.key`."""


class IssuerReference(Model):
    """Reference to an issuer of cert-manager."""

    name: ObjectName
    """Name of the issuer."""
    kind: Annotated[str, Field(min_length=1, max_length=63)] = "Issuer"
    """Kind of the issuer: `Issuer`, `ClusterIssuer`, or that of an external issuer."""
    group: ObjectName = "cert-manager.io"
    """API group of the issuer."""


class Certificate(Model):
    """Certificate that cert-manager issues and renews."""

    issuer_ref: IssuerReference
    """Reference to the issuer."""
    dns_names: Annotated[tuple[Hostname, ...], Field(max_length=32), SET] = ()
    """Names in the certificate. Defaults to the host names that clients use, or the names of the Service."""
    duration: Duration | None = None
    """Lifetime of the certificate. Defaults to cert-manager's, 90 days."""
    renew_before: Duration | None = None
    """Time before its end at which the certificate is renewed. Defaults to cert-manager's, a third of the lifetime."""


class ServerTls(Model):
    """Certificate of the servers on one of their ports. A changed Secret is read again, and connections stay."""

    secret_ref: TlsSecretReference
    """Reference to the Secret with certificate and key."""
    certificate: Annotated[Certificate | None, KEEPS_REVISION] = None
    """Certificate that cert-manager issues into this Secret. When absent the Secret must exist."""
    min_version: Literal["VersionTLS12", "VersionTLS13"] = "VersionTLS12"
    """Minimum version of TLS."""


class RedisServerTls(Model):
    """Certificate of the managed Redis and its sentinels, which then accept connections with TLS only.

    A renewed certificate is used without a restart of Redis.
    """

    secret_ref: TlsSecretReference | None = None
    """Reference to the Secret with certificate and key, and `ca.crt`, by which servers verify Redis. Defaults to
    `CLUSTER-redis-tls`, in which the operator keeps an authority of its own, and renews what it has issued."""
    certificate: Annotated[Certificate | None, KEEPS_REVISION] = None
    """Certificate that cert-manager issues into this Secret; its issuer must be one that writes `ca.crt`. `dnsNames`
    are added to the names of the Services and pods. When absent, the Secret of `secretRef` must exist."""

    @rule(
        "!has(self.certificate) || has(self.secretRef)",
        "certificate needs secretRef: the Secret that cert-manager issues it into",
        field="certificate",
    )
    def _certificate_has_a_place(self) -> bool:
        return self.certificate is None or self.secret_ref is not None


class IngressTls(Model):
    """Certificate of an Ingress."""

    secret_ref: TlsSecretReference | None = None
    """Reference to the Secret with certificate and key. Defaults to the controller's default certificate."""
    certificate: Certificate | None = None
    """Certificate that cert-manager issues into this Secret."""

    @rule(
        "!has(self.certificate) || has(self.secretRef)",
        "certificate needs secretRef: the Secret that cert-manager issues it into",
        field="certificate",
    )
    def _certificate_has_a_place(self) -> bool:
        return self.certificate is None or self.secret_ref is not None
