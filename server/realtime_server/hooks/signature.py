"""Signature by which the backend verifies that a request comes from this cluster."""

from __future__ import annotations

import hmac

HEADER = "X-Realtime-Signature"


def sign(body: bytes, secret: str, unix_seconds: int) -> str:
    """Return the value of the header: `t=UNIX_SECONDS,v1=HMAC`, the hexadecimal HMAC-SHA256 of `UNIX_SECONDS.BODY`.

    The time is signed so that a backend can refuse replayed requests.
    """
    message = b"%d." % unix_seconds + body
    return f"t={unix_seconds},v1={hmac.digest(secret.encode(), message, 'sha256').hex()}"
