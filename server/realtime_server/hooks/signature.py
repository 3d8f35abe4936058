"""Proof for the backend that a request comes from this cluster."""

from __future__ import annotations

import hmac

HEADER = "X-Realtime-Signature"


def sign(body: bytes, secret: str, unix_seconds: int) -> str:
    """The header's value: `t=UNIX_SECONDS,v1=HMAC`, an HMAC-SHA256 in hexadecimal of `UNIX_SECONDS.BODY`.

    The time is in it so that a backend can refuse what somebody has recorded and sends again.
    """
    message = b"%d." % unix_seconds + body
    return f"t={unix_seconds},v1={hmac.digest(secret.encode(), message, 'sha256').hex()}"
