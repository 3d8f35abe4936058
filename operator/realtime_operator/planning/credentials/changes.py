"""Detection of changes of the generated credentials, which backends and clients use. Pure.

The operator generates them once. A deleted Secret is restored from memory; after a restart of the operator there is
nothing to restore, new credentials are generated, and people have to be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from realtime_operator import naming
from realtime_operator.planning.model.timestamps import timestamp

TOLD_FOR = timedelta(hours=24)
"""Time for which the condition reports replaced credentials."""

FINGERPRINT_CHARACTERS = 8
"""Length of a fingerprint in characters of the SHA-256: enough to see a change, useless to guess the value."""

ADVICE: Mapping[str, str] = {
    naming.KEY_API: "give your backends the new API key",
    naming.KEY_TOKEN_SECRET: "sign tokens with the new secret: clients with older tokens are refused",
}
"""Advice by key, for the keys that are used outside of the cluster."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Fingerprints of the generated credentials by key, and the last change, stored in `.status.credentials`."""

    fingerprints: Mapping[str, str] = field(default_factory=dict)
    replaced: tuple[str, ...] = ()
    replaced_at: datetime | None = None

    def replaced_recently(self, now: datetime) -> bool:
        """Return True while a replacement is to be reported."""
        return self.replaced_at is not None and now - self.replaced_at < TOLD_FOR

    def message(self, cluster: str) -> str:
        """Describe the replaced credentials, with advice."""
        secret = naming.credentials_secret(cluster)
        when = timestamp(self.replaced_at) if self.replaced_at is not None else "an unknown time"
        advice = "; ".join(ADVICE[key] for key in self.replaced)
        verb = "was" if len(self.replaced) == 1 else "were"
        return f"{' and '.join(self.replaced)} of Secret {secret} {verb} replaced at {when}: {advice}"


def next_credentials(
    cluster: str, secrets: Mapping[str, Mapping[str, str]], before: Credentials, now: datetime
) -> Credentials:
    """Compare the credentials with the previous ones.

    A missing key is no change, nor is a value whose former one is still accepted, because it was rotated.

    `secrets` has the SHA-256 of each value.
    """
    present = secrets.get(naming.credentials_secret(cluster), {})
    known = {key: present[key][:FINGERPRINT_CHARACTERS] for key in ADVICE if key in present}
    accepted = {key: {known[key], *_alternate(present, key)} for key in known}
    changed = tuple(key for key in known if before.fingerprints.get(key, known[key]) not in accepted[key])
    fingerprints = {**{key: value for key, value in before.fingerprints.items() if key in ADVICE}, **known}
    kept = before.replaced_recently(now)
    if changed:
        return Credentials(fingerprints, tuple(dict.fromkeys((*(before.replaced if kept else ()), *changed))), now)
    return Credentials(fingerprints, before.replaced if kept else (), before.replaced_at if kept else None)


def _alternate(present: Mapping[str, str], key: str) -> tuple[str, ...]:
    value = present.get(naming.alternate(key))
    return () if value is None else (value[:FINGERPRINT_CHARACTERS],)
