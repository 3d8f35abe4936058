"""Revocations of tokens, as servers keep them and tell each other of them."""

from __future__ import annotations

from msgspec import Struct

MAX_REVOCATIONS = 100_000
"""Upper bound of revocations in the backplane, and so in the memory of each worker."""


class Credential(Struct, frozen=True, gc=False):
    """What of a token a revocation can name: `user` (`sub`), `jti` ("" for none), `issued_at` (`iat`, Unix seconds).

    A client that the connect hook has let in has one too, issued when the hook answered.
    """

    user: str
    jti: str = ""
    issued_at: float | None = None


class Revocation(Struct, frozen=True, gc=False):
    """A revocation of the token with `jti`, or of tokens issued before a time; all times are Unix seconds.

    Without `jti` it is about the tokens of `user` ("": of all users) that were issued before `issued_before`. It is
    kept until `expires_at`.
    """

    expires_at: float
    jti: str = ""
    user: str = ""
    issued_before: float = 0.0

    @property
    def subject(self) -> tuple[str, str]:
        """The part that names tokens; of several revocations with the same one the latest times count."""
        return self.jti, self.user


def merged(one: Revocation, other: Revocation) -> Revocation:
    """One revocation that covers what two of the same subject cover, for as long as either is kept."""
    return Revocation(
        max(one.expires_at, other.expires_at), one.jti, one.user, max(one.issued_before, other.issued_before)
    )
