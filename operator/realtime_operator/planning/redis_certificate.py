"""The certificate that the operator makes for the managed Redis: when it is made, and when it is made anew. Pure.

The Secret has an authority of this cluster alone, and a certificate of it. A new certificate is of the same authority,
and a renewed authority has the same key: servers that still have its former certificate accept both. What the values
are is in an annotation, because the planner sees hashes of them only; values that others have put there are replaced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import object_at, text_at
from realtime_operator.api.v1alpha1 import RealtimeCluster
from realtime_operator.builders import SecretTemplate, redis_hosts
from realtime_operator.builders.manifest import digest
from realtime_operator.planning.difference import contains
from realtime_operator.planning.plan import EnsureSecret, IssueCertificate
from realtime_operator.planning.timestamps import timestamp
from realtime_operator.planning.world import World, object_key

LIFETIME = timedelta(days=90)
RENEW_BEFORE = timedelta(days=30)
AUTHORITY_LIFETIME = timedelta(days=3650)
AUTHORITY_RENEW_BEFORE = timedelta(days=365)
BACKDATED = timedelta(hours=1)
"""Time for which a certificate has been valid when it is made: clocks differ."""


@dataclass(frozen=True, slots=True)
class CertificateRecord:
    """Content of the Secret: names in the certificate, ends of it and of the authority, and `digest` of the values."""

    names: tuple[str, ...]
    not_after: datetime
    authority_not_after: datetime
    digest: str

    def annotation(self) -> str:
        """Return the value of ANNOTATION_CERTIFICATE."""
        return json.dumps(
            {
                "names": self.names,
                "notAfter": timestamp(self.not_after),
                "authorityNotAfter": timestamp(self.authority_not_after),
                "digest": self.digest,
            }
        )


def read_record(secret: JsonObject) -> CertificateRecord | None:
    """Return the record of a Secret; None without one, or when somebody has made it unreadable."""
    try:
        found = json.loads(text_at(secret, "metadata", "annotations", naming.ANNOTATION_CERTIFICATE))
        ends = [datetime.fromisoformat(found[name]) for name in ("notAfter", "authorityNotAfter")]
        if any(end.tzinfo is None for end in ends):
            return None
        return CertificateRecord(tuple(map(str, found["names"])), ends[0], ends[1], str(found["digest"]))
    except (ValueError, KeyError, TypeError):
        return None


def digest_of(hashes: Mapping[str, str]) -> str:
    """Return what identifies the values of a Secret, from the SHA-256 (hex) of each."""
    return digest({**hashes})[:16]


def next_certificate(
    cluster: RealtimeCluster, template: SecretTemplate, world: World, now: datetime
) -> IssueCertificate | EnsureSecret | None:
    """Return the action on the Secret of the template; None when its certificate is valid for long enough."""
    key, names = object_key(template.manifest), redis_hosts(cluster)
    live, present = world.objects.get(key), world.secrets.get(key.name, {})
    record = read_record(live) if live is not None else None
    if live is None or record is None or not _is_current(record, names, present, now):
        renews_authority = record is not None and record.authority_not_after - now < AUTHORITY_RENEW_BEFORE
        return IssueCertificate(
            template.manifest,
            names,
            not_before=now - BACKDATED,
            not_after=now + LIFETIME,
            authority_not_after=now + AUTHORITY_LIFETIME,
            renews_authority=renews_authority,
            uid=None if live is None else text_at(live, "metadata", "uid"),
            resource_version="" if live is None else text_at(live, "metadata", "resourceVersion"),
        )
    if not contains(live, template.manifest):
        manifest = with_record(template.manifest, record)
        return EnsureSecret(manifest, template.keys, text_at(live, "metadata", "uid"))
    return None


def with_record(manifest: JsonObject, record: CertificateRecord) -> JsonObject:
    """Return the manifest of the Secret with the record of its values."""
    metadata = object_at(manifest, "metadata")
    annotations: JsonObject = {
        **object_at(metadata, "annotations"), naming.ANNOTATION_CERTIFICATE: record.annotation(),
    }  # fmt: skip
    return {**manifest, "metadata": {**metadata, "annotations": annotations}}


def _is_current(record: CertificateRecord, names: tuple[str, ...], present: Mapping[str, str], now: datetime) -> bool:
    lasts = record.not_after - now > RENEW_BEFORE and record.authority_not_after - now > AUTHORITY_RENEW_BEFORE
    return lasts and record.names == names and record.digest == digest_of(present)
