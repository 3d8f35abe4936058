"""Sessions of a worker, indexed by id, by user, and by the secret of emulated sessions."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

from realtime_server.core.sessions.session import Session

Action: TypeAlias = Callable[[Session], None]


@dataclass(frozen=True, slots=True)
class _Request:
    """Action requested for the sessions of a user that have all these names."""

    user: str
    names: tuple[str, ...]
    action: Action


class Registry:
    """Index of the sessions; `sessions` has all of them, oldest first.

    While the backend identifies a client, its user is not known, so that a revocation for that user would miss it.
    Actions for a user are therefore kept meanwhile, and are applied once the user is known.
    """

    def __init__(self) -> None:
        self.sessions: dict[Session, None] = {}
        self._by_client: dict[str, Session] = {}
        self._emulated: dict[str, Session] = {}
        self._by_user: dict[str, dict[Session, None]] = {}
        self._unidentified: dict[Session, int] = {}
        """Sessions under identification, each with the number of the first request made since that began."""
        self._requests: deque[_Request] = deque()
        self._dropped = 0
        """Number of the first request that is still kept."""

    def add(self, session: Session) -> None:
        """Add the session of a new connection, which has no user yet."""
        self.sessions[session] = None
        self._by_client[session.client] = session
        if session.secret:
            self._emulated[session.secret] = session

    def remove(self, session: Session) -> None:
        """Remove the session of a closed connection."""
        self.sessions.pop(session, None)
        if self._by_client.get(session.client) is session:
            del self._by_client[session.client]
        self._emulated.pop(session.secret, None)
        self.end_identification(session)
        self.remove_user(session)

    def with_client(self, client: str) -> Session | None:
        """Return the session with this id, or None."""
        return self._by_client.get(client)

    def rename(self, session: Session, client: str) -> None:
        """Give a session the id of the one that it continues."""
        if self._by_client.get(session.client) is session:
            del self._by_client[session.client]
        session.rename(client)
        if session in self.sessions:
            self._by_client[client] = session

    def emulated(self, secret: str) -> Session | None:
        """Return the emulated session with this secret, or None."""
        return self._emulated.get(secret)

    @property
    def users(self) -> int:
        """Number of distinct users."""
        return len(self._by_user)

    def of_user(self, user: str, *names: str) -> list[Session]:
        """Return the sessions of a user that have all these names, ids or secrets; an empty name matches all."""
        return [session for session in self._by_user.get(user, ()) if _has_names(session, names)]

    def add_user(self, session: Session) -> int:
        """Index a session by its user, and apply the actions requested for that user meanwhile.

        Returns the number of the user's sessions.
        """
        same_user = self._by_user.setdefault(session.user, {})
        same_user[session] = None
        if self._unidentified:
            self.end_identification(session)
        return len(same_user)

    def remove_user(self, session: Session) -> None:
        """Remove a session from the index by user. Idempotent."""
        if session.claims is not None:
            same_user = self._by_user.get(session.user, {})
            same_user.pop(session, None)
            if not same_user:
                self._by_user.pop(session.user, None)

    def begin_identification(self, session: Session) -> None:
        """Record that the backend is being asked for the user of a session."""
        self._unidentified[session] = self._dropped + len(self._requests)

    def end_identification(self, session: Session) -> None:
        """Apply the actions requested meanwhile to a session, if its user is known now. Idempotent."""
        began = self._unidentified.pop(session, None)
        if began is None:
            return
        if session.claims is not None:
            for request in list(islice(self._requests, began - self._dropped, None)):
                if request.user == session.user and _has_names(session, request.names):
                    request.action(session)
        oldest = next(iter(self._unidentified.values()), self._dropped + len(self._requests))
        while self._dropped < oldest:
            self._requests.popleft()
            self._dropped += 1

    def apply(self, user: str, names: tuple[str, ...], action: Action) -> None:
        """Apply an action to a user's sessions that have all these names, now and once under identification.

        Without a user, the first name is the id of a session of any user.
        """
        if not user and names and names[0]:
            session = self._by_client.get(names[0])
            if session is not None and _has_names(session, names):
                action(session)
            return
        for session in self.of_user(user, *names):
            action(session)
        if self._unidentified:
            self._requests.append(_Request(user, names, action))


def _has_names(session: Session, names: tuple[str, ...]) -> bool:
    return all(not name or session.has_name(name) for name in names)
