"""Tokens as an application makes them."""

from __future__ import annotations

import time

import jwt

from realtime_operator.api.base import JsonValue


def subscription_token(secret: str, user: str, channel: str, **claims: JsonValue) -> str:
    """Return an HS256 token that lets `user` subscribe to `channel`, without expiry unless `exp` is given."""
    return jwt.encode({"sub": user, "channel": channel, **claims}, secret, algorithm="HS256")


def connection_token(secret: str, user: str, *, lifetime: float | None = 3600, **claims: JsonValue) -> str:
    """Return an HS256 token of `user`; `lifetime` in seconds, negative for an expired token, None for no expiry."""
    payload: dict[str, JsonValue] = {"sub": user, **claims}
    if lifetime is not None:
        payload["exp"] = int(time.time() + lifetime)
    return jwt.encode(payload, secret, algorithm="HS256")
