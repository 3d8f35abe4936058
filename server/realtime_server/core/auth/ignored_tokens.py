"""Verifier for development that checks no token, so that an application can be tried before it issues any."""

from __future__ import annotations

from realtime_server.core.auth.capabilities import Action, Capability, Match
from realtime_server.core.auth.claims import Claims
from realtime_server.core.auth.verifier import TokenVerifier
from realtime_server.core.model.grant import PLAIN, Grant

EVERYTHING = Capability(channels=("*",), allow=tuple(Action), match=Match.WILDCARD)


class IgnoredTokens(TokenVerifier):
    """Verifier that admits everybody, as an anonymous user with every permission that a token could grant."""

    ignores_tokens = True

    def __init__(self) -> None:
        super().__init__(lambda: ())

    def verify(self, token: str) -> Claims:
        """Return the same claims for every token, and for none."""
        del token
        return Claims(user="", capabilities=(EVERYTHING,))

    def verify_subscription(self, token: str, *, channel: str, user: str) -> Grant:
        """Return the plain grant for every channel."""
        del token, channel, user
        return PLAIN
