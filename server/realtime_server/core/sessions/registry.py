"""The sessions of a worker, found by their user and by what emulated ones were told."""

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
    """Something that was to be done with the sessions of a user that have all these names."""

    user: str
    names: tuple[str, ...]
    action: Action


class Registry:
    """Finds sessions. `sessions` has all of them, in the order in which they were opened.

    While the backend is asked who a client is, nobody knows whether it is the user that somebody revokes. So what is
    to be done with sessions of a user is kept until then, and is done once the user is known.
    """

    def __init__(self) -> None:
        self.sessions: dict[Session, None] = {}
        self._emulated: dict[str, Session] = {}
        self._by_user: dict[str, dict[Session, None]] = {}
        self._unidentified: dict[Session, int] = {}
        """Sessions whose users are asked for, and the number of the first request that came meanwhile."""
        self._requests: deque[_Request] = deque()
        self._dropped = 0
        """Number of the first of the requests that are kept."""

    def add(self, session: Session) -> None:
        """Add a connection that has not said who it is."""
        self.sessions[session] = None
        if session.secret:
            self._emulated[session.secret] = session

    def remove(self, session: Session) -> None:
        """Forget a connection that is gone."""
        self.sessions.pop(session, None)
        self._emulated.pop(session.secret, None)
        self.end_identification(session)
        self.remove_user(session)

    def emulated(self, secret: str) -> Session | None:
        """Return the connection that was told this as its session."""
        return self._emulated.get(secret)

    @property
    def users(self) -> int:
        """The number of different users."""
        return len(self._by_user)

    def of_user(self, user: str, *names: str) -> list[Session]:
        """Return the connections of a user that have all these names, ids or sessions; an empty one fits all."""
        return [session for session in self._by_user.get(user, ()) if _has_names(session, names)]

    def add_user(self, session: Session) -> int:
        """Let a session be found by its user, and do what was requested for that user while it was not known.

        Returns how many sessions the user has.
        """
        same_user = self._by_user.setdefault(session.user, {})
        same_user[session] = None
        if self._unidentified:
            self.end_identification(session)
        return len(same_user)

    def remove_user(self, session: Session) -> None:
        """Let a session not be found by its user. Idempotent."""
        if session.claims is not None:
            same_user = self._by_user.get(session.user, {})
            same_user.pop(session, None)
            if not same_user:
                self._by_user.pop(session.user, None)

    def begin_identification(self, session: Session) -> None:
        """Note that the backend is asked who a client is."""
        self._unidentified[session] = self._dropped + len(self._requests)

    def end_identification(self, session: Session) -> None:
        """Do what was requested meanwhile for the user of a session, if it has one now. Idempotent."""
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
        """Do something with the connections of a user that have all these names, and with those that are let in now."""
        for session in self.of_user(user, *names):
            action(session)
        if self._unidentified:
            self._requests.append(_Request(user, names, action))


def _has_names(session: Session, names: tuple[str, ...]) -> bool:
    return all(not name or session.has_name(name) for name in names)
