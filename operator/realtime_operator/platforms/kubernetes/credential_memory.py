"""The generated credentials of each cluster as they were seen last, to put back a Secret that somebody deleted.

They are in this process's memory only: after a restart there is nothing to put back, and new ones are made.
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
    """Values of Secrets, in base64 as the API server has them. A cluster is known by its key and its uid."""

    def __init__(self) -> None:
        self._known: dict[Key, _Known] = {}

    def note(self, cluster: Key, uid: str, secret: str, data: Mapping[str, object]) -> None:
        """Remember what a Secret has; of a former cluster of this name nothing is kept."""
        known = self._known.get(cluster)
        if known is None or known.uid != uid:
            known = self._known[cluster] = _Known(uid)
        known.values.update({(secret, key): str(value) for key, value in data.items()})

    def value(self, cluster: Key, uid: str, secret: str, key: str) -> str | None:
        """Return the value that was seen last; None when none was."""
        known = self._known.get(cluster)
        return known.values.get((secret, key)) if known is not None and known.uid == uid else None

    def forget(self, cluster: Key) -> None:
        """Forget a cluster that is gone."""
        self._known.pop(cluster, None)
