"""Certificates that the operator issues: when one is made, and when it is made anew. Pure.

A Secret has an authority of its own, and a certificate of it. A new certificate is of the same authority, and a renewed
authority has the same key: whoever still has its former certificate accepts both. What the values are is in an
annotation, because the planner sees hashes of them only; values that others have put there are replaced.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from realtime_operator import naming
from realtime_operator.api.base import JsonObject
from realtime_operator.api.document import object_at, text_at
from realtime_operator.builders.manifest import digest
from realtime_operator.planning.model.plan import IssueCertificate
from realtime_operator.planning.model.timestamps import timestamp

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


def next_issue(
    manifest: JsonObject, names: tuple[str, ...], live: JsonObject | None, present: Mapping[str, str], now: datetime
) -> IssueCertificate | None:
    """Return the issue of a certificate for `names`; None when the one in the Secret is valid for long enough.

    `manifest` is the Secret without its data, `live` the observed one, `present` has the SHA-256 (hex) of its values.
    """
    record = read_record(live) if live is not None else None
    if record is not None and _is_current(record, names, present, now):
        return None
    return IssueCertificate(
        manifest,
        names,
        not_before=now - BACKDATED,
        not_after=now + LIFETIME,
        authority_not_after=now + AUTHORITY_LIFETIME,
        renews_authority=record is not None and record.authority_not_after - now < AUTHORITY_RENEW_BEFORE,
        uid=None if live is None else text_at(live, "metadata", "uid"),
        resource_version="" if live is None else text_at(live, "metadata", "resourceVersion"),
    )


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
