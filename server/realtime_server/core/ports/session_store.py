"""Port of core for the states of sessions that may come back."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Protocol

from realtime_server.core.model.session_state import SessionState

MAX_STATE_BYTES = 65_536
"""Maximum size of a packed state; larger ones are not stored."""
MAX_STATES = 200_000
"""Maximum number of states, in a Redis Cluster of each partition; those that expire first are dropped first."""


class Kept(IntEnum):
    """State of an entry, as its owner finds it."""

    YES = 0
    GONE = 1
    """It has expired, was dropped or lost, or is too large."""
    TAKEN = 2
    """It has another owner: the session goes on elsewhere."""


class SessionStore(Protocol):
    """Store of the states of sessions, for all servers, by a private id. Their number and size are bounded.

    `owner` is a unique name of one connection, without a line feed. All methods may raise BackplaneError.
    """

    async def put(self, ident: str, owner: str, state: SessionState, ttl_seconds: float, *, first: bool) -> Kept:
        """Store a state for `ttl_seconds`: `first` for a new owner, else only where it is this owner's or GONE.

        One that is too large is removed, and GONE.
        """

    async def renew(self, owners: Mapping[str, str], ttl_seconds: float) -> Mapping[str, Kept]:
        """Keep states, by their ids with their owners, for `ttl_seconds` from now; return those that are not kept."""

    async def take(self, ident: str) -> SessionState | None:
        """Remove a state and return it: of several callers one gets it."""

    async def remove(self, ident: str, owner: str) -> None:
        """Remove a state that is still the owner's."""
