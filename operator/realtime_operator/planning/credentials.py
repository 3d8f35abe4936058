"""Changes of the generated credentials, which backends and clients were given. Pure.

The operator generates them once. A Secret that is deleted is filled with what the operator still knows; when it knows
nothing any more (it was restarted as well), new ones are made, and people have to be told.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from realtime_operator import naming
from realtime_operator.planning.timestamps import timestamp

TOLD_FOR = timedelta(hours=24)
"""The condition says for so long that credentials were replaced."""

FINGERPRINT_CHARACTERS = 8
"""Of the SHA-256 of a random value: enough to see a change, and nothing that helps to guess it."""

ADVICE: Mapping[str, str] = {
    naming.KEY_API: "give your backends the new API key",
    naming.KEY_TOKEN_SECRET: "sign tokens with the new secret, clients with older tokens are refused",
}
"""The keys that somebody outside has, and what to do when one is replaced."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """Fingerprints of the generated credentials by key, and the last change; they live in `.status.credentials`."""

    fingerprints: Mapping[str, str] = field(default_factory=dict)
    replaced: tuple[str, ...] = ()
    replaced_at: datetime | None = None

    def replaced_recently(self, now: datetime) -> bool:
        """True when somebody may still have to be told."""
        return self.replaced_at is not None and now - self.replaced_at < TOLD_FOR

    def message(self, cluster: str) -> str:
        """Say what was replaced and what to do."""
        secret = naming.credentials_secret(cluster)
        when = timestamp(self.replaced_at) if self.replaced_at is not None else "an unknown time"
        advice = "; ".join(ADVICE[key] for key in self.replaced)
        verb = "was" if len(self.replaced) == 1 else "were"
        return f"{' and '.join(self.replaced)} of Secret {secret} {verb} replaced at {when}: {advice}"


def next_credentials(
    cluster: str, secrets: Mapping[str, Mapping[str, str]], before: Credentials, now: datetime
) -> Credentials:
    """Compare what is there with what was; `secrets` has the SHA-256 of each value. A missing key is no change yet."""
    present = secrets.get(naming.credentials_secret(cluster), {})
    known = {key: present[key][:FINGERPRINT_CHARACTERS] for key in ADVICE if key in present}
    changed = tuple(key for key, value in known.items() if before.fingerprints.get(key, value) != value)
    fingerprints = {**{key: value for key, value in before.fingerprints.items() if key in ADVICE}, **known}
    kept = before.replaced_recently(now)
    if changed:
        return Credentials(fingerprints, tuple(dict.fromkeys((*(before.replaced if kept else ()), *changed))), now)
    return Credentials(fingerprints, before.replaced if kept else (), before.replaced_at if kept else None)
