"""The API server's audit log: requests by user."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.kit.document import parse, text_at

WRITING = frozenset({"create", "update", "patch", "delete", "deletecollection"})


@dataclass(frozen=True, slots=True)
class Call:
    """One request to the API server."""

    user: str
    verb: str
    resource: str
    namespace: str
    name: str
    subresource: str

    @property
    def writes(self) -> bool:
        """True when the request may have changed an object."""
        return self.verb in WRITING


class AuditLog:
    """A log file (JSON lines), read from a position on."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._position = 0

    def skip(self) -> None:
        """Skip all requests until now."""
        self._position = self._path.stat().st_size

    def calls_of(self, user: str) -> list[Call]:
        """Return the requests of a user since the last `skip`."""
        with self._path.open("rb") as log:
            log.seek(self._position)
            lines = log.read().splitlines()
        # A watch is logged at its start and at its end, and counts as one request.
        ended = (line for line in lines if user.encode() in line and b'"stage":"ResponseStarted"' not in line)
        calls = (_call(line) for line in ended)
        return [call for call in calls if call.user == user]


def _call(line: bytes) -> Call:
    event = parse(line)
    return Call(
        user=text_at(event, "user", "username"),
        verb=text_at(event, "verb"),
        resource=text_at(event, "objectRef", "resource"),
        namespace=text_at(event, "objectRef", "namespace"),
        name=text_at(event, "objectRef", "name"),
        subresource=text_at(event, "objectRef", "subresource"),
    )
