"""Revocations of tokens, as servers store and exchange them."""

from __future__ import annotations

from msgspec import Struct

MAX_REVOCATIONS = 100_000
"""Maximum number of revocations in the backplane, and so in the memory of each worker."""


class Credential(Struct, frozen=True, gc=False):
    """Properties of a token that revocations refer to.

    `user` is `sub`, `jti` "" for none, `issued_at` is `iat` in Unix seconds. A client that the connect hook has
    admitted has a credential too, issued when the hook was asked.
    """

    user: str
    jti: str = ""
    issued_at: float | None = None


class Revocation(Struct, frozen=True, gc=False):
    """Revocation of the token with `jti` or, without `jti`, of a user's tokens issued before `issued_before`.

    `user` "" stands for all users. It is kept until `expires_at`. All times are Unix seconds.
    """

    expires_at: float
    jti: str = ""
    user: str = ""
    issued_before: float = 0.0

    @property
    def subject(self) -> tuple[str, str]:
        """Key of a revocation; revocations with the same key are merged, and the latest times apply."""
        return self.jti, self.user


def merged(one: Revocation, other: Revocation) -> Revocation:
    """One revocation that covers what two of the same subject cover, for as long as either is kept."""
    return Revocation(
        max(one.expires_at, other.expires_at), one.jti, one.user, max(one.issued_before, other.issued_before)
    )
