"""Memory of the generated credentials of each cluster, to restore a Secret that was deleted.

It lives in this process only: after a restart a deleted Secret gets new credentials.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from realtime_operator.platforms.base import Key


@dataclass(slots=True)
class _Known:
    uid: str
    values: dict[tuple[str, str], str] = field(default_factory=dict)


class CredentialMemory:
    """Values of Secrets, in base64 as the API server has them, by the key and the uid of their cluster."""

    def __init__(self) -> None:
        self._known: dict[Key, _Known] = {}

    def note(self, cluster: Key, uid: str, secret: str, data: Mapping[str, object]) -> None:
        """Remember the data of a Secret; values of an earlier cluster of the same name are dropped."""
        known = self._known.get(cluster)
        if known is None or known.uid != uid:
            known = self._known[cluster] = _Known(uid)
        known.values.update({(secret, key): str(value) for key, value in data.items()})

    def value(self, cluster: Key, uid: str, secret: str, key: str) -> str | None:
        """Return the value that was seen last; None when none was."""
        known = self._known.get(cluster)
        return known.values.get((secret, key)) if known is not None and known.uid == uid else None

    def forget(self, cluster: Key) -> None:
        """Drop the values of a deleted cluster."""
        self._known.pop(cluster, None)
